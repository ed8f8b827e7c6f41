//! Errors as clients see them: RFC 9457 problem details.

use serde::{Deserialize, Serialize};

/// The media type of a [`ProblemDocument`].
pub const PROBLEM_JSON: &str = "application/problem+json";

/// An error's body (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Problem))]
pub struct ProblemDocument {
    /// Identifies the kind of problem; a URI reference to its documentation.
    #[cfg_attr(feature = "openapi", schema(example = "/problems/refused-value"))]
    #[serde(rename = "type")]
    pub type_uri: String,
    /// The kind of problem in a few words, always the same for one `type`.
    pub title: String,
    /// The HTTP status, as in the status line.
    pub status: u16,
    /// A description of this occurrence.
    pub detail: String,
    /// The error code of RFC 6749 section 5.2, where clients of OAuth expect one.
    #[cfg_attr(feature = "openapi", schema(required = false, nullable = false))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The members of the body that are at fault, if any are.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<MemberError>,
}

/// One member at fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MemberError {
    /// JSON pointer into the request body (RFC 6901), such as `/username`.
    #[cfg_attr(feature = "openapi", schema(example = "/username"))]
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

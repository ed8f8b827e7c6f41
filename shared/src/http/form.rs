//! The parameters of a form (`application/x-www-form-urlencoded`), as OAuth sends them.

use super::problem::{Problem, ProblemKind};

/// The error code of a request of the wrong form (RFC 6749 section 5.2).
const INVALID_REQUEST: &str = "invalid_request";

/// The parameters of a form. Those that nobody asks for are ignored, as RFC 6749 section 3.2 demands.
#[derive(Debug)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Parses a body.
    ///
    /// # Errors
    /// 400 if a parameter is there twice (RFC 6749 section 3.2).
    pub(super) fn parse(body: &[u8]) -> Result<Self, Problem> {
        let pairs: Vec<(String, String)> = serde_urlencoded::from_bytes(body)
            .map_err(|_| malformed("the body is not a form".to_owned()))?;
        let mut names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(malformed("a parameter occurs twice".to_owned()));
        }
        Ok(Self(pairs))
    }

    /// Takes a parameter. An empty one counts as absent (RFC 6749 section 3.2).
    ///
    /// # Errors
    /// 400 if it is absent.
    pub fn take(&mut self, name: &str) -> Result<String, Problem> {
        let found = self.0.iter().position(|(key, value)| key == name && !value.is_empty());
        let found = found.ok_or_else(|| malformed(format!("the parameter {name} is required")))?;
        Ok(self.0.swap_remove(found).1)
    }
}

fn malformed(detail: String) -> Problem {
    Problem::new(ProblemKind::Malformed, detail).with_oauth_error(INVALID_REQUEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_unknown_ones_ignored() {
        let mut form = Form::parse(b"x=1&token=a%2Eb+c&token_type_hint=refresh_token").unwrap();
        assert_eq!(form.take("token").unwrap(), "a.b c");
    }

    #[test]
    fn absent_empty_and_repeated_parameters_are_refused_with_the_code_of_oauth() {
        for body in ["", "x=1", "token=", "token", "Token=a"] {
            let problem = Form::parse(body.as_bytes()).unwrap().take("token").unwrap_err();
            assert_eq!(problem.document().error.as_deref(), Some("invalid_request"), "{body}");
        }
        for body in ["token=a&token=a", "token=a&x=1&x=2"] {
            let problem = Form::parse(body.as_bytes()).unwrap_err();
            assert_eq!(problem.kind(), ProblemKind::Malformed, "{body}");
        }
    }
}

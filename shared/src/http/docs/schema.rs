//! The schemas of the document, as HTML.

use std::fmt::Write;

use serde_json::Value;

use crate::http::html::{escaped, prose};

/// The schema in a few words, with links to the named ones.
pub(super) fn words(schema: &Value) -> String {
    if let Some(name) = reference(schema) {
        return format!("<a href=\"#schema-{0}\">{0}</a>", escaped(name));
    }
    for of in ["oneOf", "anyOf", "allOf"] {
        if let Some(parts) = schema[of].as_array() {
            let between = if of == "allOf" { " and " } else { " or " };
            return parts.iter().map(words).collect::<Vec<_>>().join(between);
        }
    }
    let mut shown = match &schema["type"] {
        Value::String(one) if one == "array" => format!("array of {}", words(&schema["items"])),
        Value::String(one) => escaped(one),
        Value::Array(several) => {
            several.iter().filter_map(Value::as_str).map(escaped).collect::<Vec<_>>().join(" or ")
        }
        _ => "any value".to_owned(),
    };
    shown.push_str(&limits(schema));
    shown
}

/// The table of an object's members, or the words for anything else.
pub(super) fn members(schema: &Value) -> String {
    let mut properties = Vec::new();
    collect(schema, &mut properties);
    if properties.is_empty() {
        return format!("<p>{}</p>\n", words(schema));
    }
    let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
    let mut html = String::from("<table>\n<tr><th>member</th><th>type</th><th></th></tr>\n");
    for (name, member) in properties {
        let is_required = required.iter().any(|one| one == name);
        let optional = if is_required { "" } else { ", optional" };
        let description = member["description"].as_str().unwrap_or_default();
        // A `String` takes everything, here and below.
        let _ = writeln!(
            html,
            "<tr><td><code>{}</code></td><td>{}{optional}</td><td>{}</td></tr>",
            escaped(name),
            words(member),
            prose(description)
        );
    }
    html.push_str("</table>\n");
    html
}

/// The name of the schema that this one refers to.
pub(super) fn reference(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

/// The members of an object, also of one that is made of several.
fn collect<'a>(schema: &'a Value, into: &mut Vec<(&'a str, &'a Value)>) {
    let properties = schema["properties"].as_object().into_iter().flatten();
    into.extend(properties.map(|(name, member)| (name.as_str(), member)));
    for part in schema["allOf"].as_array().into_iter().flatten() {
        collect(part, into);
    }
}

fn limits(schema: &Value) -> String {
    let mut html = String::new();
    for (key, word) in [
        ("format", "format"),
        ("pattern", "pattern"),
        ("minimum", "from"),
        ("maximum", "to"),
        ("minLength", "at least"),
        ("maxLength", "at most"),
        ("const", "always"),
    ] {
        let characters = if key.ends_with("Length") { " characters" } else { "" };
        let value = match &schema[key] {
            Value::Null => continue,
            Value::String(text) => escaped(text),
            other => escaped(&other.to_string()),
        };
        let _ = write!(html, ", {word} <code>{value}</code>{characters}");
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_schema_is_shown_with_its_limits_and_links() {
        let list = json!({"type": "array", "items": {"$ref": "#/components/schemas/User"}});
        assert_eq!(words(&list), "array of <a href=\"#schema-User\">User</a>");
        let limit = json!({"type": "integer", "minimum": 1, "maximum": 1000});
        assert_eq!(words(&limit), "integer, from <code>1</code>, to <code>1000</code>");
        let object = json!({"required": ["a"], "properties": {
            "a": {"type": "string", "description": "<b>"}, "b": {"type": ["string", "null"]},
        }});
        let table = members(&object);
        assert!(table.contains("<td>string</td><td>&lt;b&gt;</td>"), "{table}");
        assert!(table.contains("<td>string or null, optional</td>"), "{table}");
    }
}

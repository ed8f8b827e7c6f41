//! The page of `/docs/`: the whole document, in the order of its paths.

use std::fmt::Write;

use serde_json::Value;

use super::schema::{members, reference, words};
use crate::http::html::{self, escaped, prose};

/// The methods, in the order in which a path shows them.
const METHODS: [&str; 4] = ["get", "post", "put", "delete"];

/// One operation of the document.
struct Operation<'a> {
    path: &'a str,
    method: &'static str,
    value: &'a Value,
}

/// The page for this document.
pub(super) fn page(document: &Value) -> String {
    let info = &document["info"];
    let title = text(&info["title"]);
    let mut body = format!(
        "<header>\n<h1>{}</h1>\n<p>{} <code>{}</code> · <a href=\"../openapi.json\">openapi.json</a></p>\n",
        escaped(title),
        prose(text(&info["description"])),
        escaped(text(&info["version"]))
    );
    body.push_str(
        "<p>In the examples, <code>$URL</code> is the address of this service, and <code>$TOKEN</code> a token \
         from <code>POST /login</code>.</p>\n</header>\n",
    );
    let operations: Vec<_> = operations(document).collect();
    body.push_str(&contents(&operations));
    body.push_str("<main>\n");
    for operation in &operations {
        body.push_str(&section(document, operation));
    }
    body.push_str(&schemas(document));
    body.push_str("</main>\n");
    html::page(title, "../", &body)
}

fn operations(document: &Value) -> impl Iterator<Item = Operation<'_>> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        METHODS
            .into_iter()
            .filter_map(move |method| Some(Operation { path, method, value: item.get(method)? }))
    })
}

fn contents(operations: &[Operation<'_>]) -> String {
    let mut html = String::from("<nav aria-label=\"Operations\">\n<ul>\n");
    for operation in operations {
        // A `String` takes everything, here and below.
        let _ = writeln!(
            html,
            "<li><a href=\"#{}\">{} {}</a></li>",
            escaped(text(&operation.value["operationId"])),
            operation.method.to_uppercase(),
            escaped(operation.path)
        );
    }
    html.push_str("</ul>\n</nav>\n");
    html
}

fn section(document: &Value, operation: &Operation<'_>) -> String {
    let Operation { path, method, value } = operation;
    let mut html = format!(
        "<section id=\"{}\">\n<h2><span class=\"method\">{}</span> <code>{}</code></h2>\n<p>{}</p>\n",
        escaped(text(&value["operationId"])),
        method.to_uppercase(),
        escaped(path),
        prose(text(&value["summary"]))
    );
    for paragraph in text(&value["description"]).split("\n\n").filter(|text| !text.is_empty()) {
        let _ = writeln!(html, "<p>{}</p>", prose(paragraph));
    }
    let _ = writeln!(html, "<pre>{}</pre>", escaped(&example(document, operation)));
    html.push_str(&parameters(document, value));
    if let Some((media_type, content)) = contents_of(&value["requestBody"]).next() {
        let shown = words(&content["schema"]);
        let _ =
            writeln!(html, "<h3>Body</h3>\n<p><code>{}</code>: {shown}</p>", escaped(media_type));
    }
    html.push_str(&responses(document, value));
    html.push_str("</section>\n");
    html
}

fn parameters(document: &Value, operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
    if parameters.is_empty() {
        return String::new();
    }
    let mut html = String::from(
        "<h3>Parameters</h3>\n<table>\n<tr><th>name</th><th>in</th><th>type</th><th></th></tr>\n",
    );
    for parameter in parameters {
        let parameter = resolved(document, parameter);
        let _ = writeln!(
            html,
            "<tr><td><code>{}</code></td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escaped(text(&parameter["name"])),
            escaped(text(&parameter["in"])),
            words(&parameter["schema"]),
            prose(text(&parameter["description"]))
        );
    }
    html.push_str("</table>\n");
    html
}

fn responses(document: &Value, operation: &Value) -> String {
    let mut html = String::from(
        "<h3>Answers</h3>\n<table>\n<tr><th>status</th><th></th><th>headers</th><th>body</th></tr>\n",
    );
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let response = resolved(document, response);
        let headers = response["headers"].as_object().into_iter().flatten();
        let headers: Vec<_> =
            headers.map(|(name, _)| format!("<code>{}</code>", escaped(name))).collect();
        let bodies: Vec<_> = contents_of(response)
            .map(|(media_type, content)| {
                format!("<code>{}</code>: {}", escaped(media_type), words(&content["schema"]))
            })
            .collect();
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escaped(status),
            explained(response),
            headers.join(", "),
            bodies.join("<br>")
        );
    }
    html.push_str("</table>\n");
    html
}

/// The description of an answer; problems with a link to their pages.
fn explained(response: &Value) -> String {
    let examples = contents_of(response).filter_map(|(_, content)| content["examples"].as_object());
    let problems: Vec<_> = examples
        .flatten()
        .filter_map(|(_, example)| {
            let (uri, title) = (example["value"]["type"].as_str()?, text(&example["summary"]));
            Some(format!("<a href=\"..{}\">{}</a>", escaped(uri), escaped(title)))
        })
        .collect();
    if problems.is_empty() { prose(text(&response["description"])) } else { problems.join("<br>") }
}

fn schemas(document: &Value) -> String {
    let mut html = String::new();
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        let name = escaped(name);
        let description = prose(text(&schema["description"]));
        let _ = writeln!(
            html,
            "<section id=\"schema-{name}\">\n<h2><code>{name}</code></h2>\n<p>{description}</p>\n{}</section>",
            members(schema)
        );
    }
    html
}

/// A command that makes a request like this one.
fn example(document: &Value, operation: &Operation<'_>) -> String {
    let path = operation.path.replace("{user_id}", "1").replace("{slug}", "username-taken");
    let mut command = match operation.method {
        "get" => format!("curl -i \"$URL{path}\""),
        "post" if operation.value["requestBody"].is_object() => format!("curl -i \"$URL{path}\""),
        other => format!("curl -i -X {} \"$URL{path}\"", other.to_uppercase()),
    };
    let schemes = operation.value["security"].as_array().into_iter().flatten();
    for scheme in schemes.filter_map(|scheme| scheme.as_object()?.keys().next()) {
        command.push_str(match scheme.as_str() {
            "client" => " -u \"$CLIENT:$SECRET\"",
            _ => " -H \"Authorization: Bearer $TOKEN\"",
        });
    }
    if let Some((media_type, content)) = contents_of(&operation.value["requestBody"]).next() {
        let body = example_body(document, &content["schema"]);
        match media_type {
            "application/json" => {
                let _ = write!(command, " \\\n  -H 'Content-Type: application/json' -d '{body}'");
            }
            _ => command.push_str(" \\\n  -d \"token=$TOKEN\""),
        }
    }
    command
}

/// The members that have an example.
fn example_body(document: &Value, schema: &Value) -> Value {
    let schema = match reference(schema) {
        Some(name) => &document["components"]["schemas"][name],
        None => schema,
    };
    let members = schema["properties"].as_object().into_iter().flatten();
    let examples = members.filter_map(|(name, member)| {
        let example = member.get("example").or_else(|| member["examples"].get(0))?;
        Some((name.clone(), example.clone()))
    });
    examples.collect::<serde_json::Map<_, _>>().into()
}

fn contents_of(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let contents = value["content"].as_object().into_iter().flatten();
    contents.map(|(media_type, content)| (media_type.as_str(), content))
}

/// What a reference into the document refers to.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let pointer = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

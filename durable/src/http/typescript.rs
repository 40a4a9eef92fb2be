//! A client in TypeScript, made of a document: types, and a small program that asks.

mod types;

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Map, Value};

use self::types::{Names, property, text};

/// What is the same in every client.
const CLIENT: &str = include_str!("typescript/client.ts");

/// A method, as the document says it.
struct Method<'a> {
    verb: &'a str,
    operation: &'a Value,
}

/// By their names.
type Methods<'a> = BTreeMap<&'a str, Method<'a>>;

/// The text of a module.
pub(super) fn client(document: &Value) -> String {
    let none = Map::new();
    let schemas = document["components"]["schemas"].as_object().unwrap_or(&none);
    // The client has one of its own.
    let schemas: BTreeMap<_, _> =
        schemas.iter().filter(|(name, _)| *name != super::openapi::PROBLEM).collect();
    let names = Names::of(schemas.keys().copied());
    let mut module = Module { names, text: String::new() };
    let info = &document["info"];
    module.line(0, "// Calls objects over HTTP. Made of their classes: make it again when they change. Numbers beyond 2^53 lose digits.");
    module.line(0, &format!("// {} {}", line_of(&info["title"]), line_of(&info["version"])));
    for (name, schema) in &schemas {
        module.line(0, "");
        module.comment(0, schema);
        let line =
            format!("export type {} = {};", module.names.get(name), module.names.type_of(schema));
        module.line(0, &line);
    }
    let classes = classes(document);
    module.methods(&classes);
    module.rejections(&classes);
    module.ways(&classes);
    module.line(0, "");
    module.text.push_str(CLIENT);
    module.text
}

/// The methods that a document says, by their classes.
fn classes(document: &Value) -> BTreeMap<&str, Methods<'_>> {
    let mut classes = BTreeMap::<_, Methods<'_>>::new();
    let paths = document["paths"].as_object().into_iter().flat_map(Map::values);
    for (verb, operation) in paths.filter_map(Value::as_object).flatten() {
        let class = operation["tags"][0].as_str().unwrap_or_default();
        let id = operation["operationId"].as_str().unwrap_or_default();
        if let Some(method) = id.strip_prefix(class).and_then(|rest| rest.strip_prefix('.')) {
            classes.entry(class).or_default().insert(method, Method { verb, operation });
        }
    }
    classes
}

/// A module that is written.
struct Module {
    names: Names,
    text: String,
}

impl Module {
    fn line(&mut self, depth: usize, line: &str) {
        let indent = if line.is_empty() { 0 } else { depth * 2 };
        writeln!(self.text, "{:indent$}{line}", "").expect("a text takes everything");
    }

    /// What a schema or an operation says of itself.
    fn comment(&mut self, depth: usize, said: &Value) {
        let description = said["description"].as_str().unwrap_or_default().replace("*/", "*\\/");
        let deprecated = if said["deprecated"] == true { "@deprecated" } else { "" };
        let lines: Vec<&str> = description.lines().chain(deprecated.lines()).collect();
        match &lines[..] {
            [] => {}
            [only] => self.line(depth, &format!("/** {only} */")),
            all => {
                self.line(depth, "/**");
                for line in all {
                    self.line(depth, format!(" * {line}").trim_end());
                }
                self.line(depth, " */");
            }
        }
    }

    fn methods(&mut self, classes: &BTreeMap<&str, Methods<'_>>) {
        self.line(0, "");
        self.line(0, "/** What can be called, by class. */");
        self.line(0, "export interface Classes {");
        for (class, methods) in classes {
            self.line(1, &format!("{}: {{", text(class)));
            for (name, method) in methods {
                self.comment(2, method.operation);
                let signature = self.signature(method);
                self.line(2, &format!("{}({signature};", property(name)));
            }
            self.line(1, "};");
        }
        self.line(0, "}");
    }

    /// What stands behind the parenthesis.
    fn signature(&self, method: &Method<'_>) -> String {
        let Method { operation, .. } = method;
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        let args = if body.is_object() { body.clone() } else { query(operation) };
        let is_needed = args["required"].as_array().is_some_and(|names| !names.is_empty());
        let mark = if is_needed { "" } else { "?" };
        let content = &operation["responses"]["200"]["content"];
        let returned = match content.get("text/event-stream") {
            Some(events) => {
                format!("AsyncIterable<{}>", self.names.type_of(&events["x-item-schema"]))
            }
            None => {
                format!("Promise<{}>", self.names.type_of(&content["application/json"]["schema"]))
            }
        };
        format!("args{mark}: {}, options?: Options): {returned}", self.names.type_of(&args))
    }

    fn rejections(&mut self, classes: &BTreeMap<&str, Methods<'_>>) {
        self.line(0, "");
        self.line(0, "/** What methods return as their errors, by class. */");
        self.line(0, "export interface Rejections {");
        for (class, methods) in classes {
            let own = methods.iter().filter_map(|(name, method)| Some((name, rejection(method)?)));
            let own: Vec<_> = own.collect();
            if own.is_empty() {
                continue;
            }
            self.line(1, &format!("{}: {{", text(class)));
            for (name, schema) in own {
                let line = format!("{}: {};", property(name), self.names.type_of(schema));
                self.line(2, &line);
            }
            self.line(1, "};");
        }
        self.line(0, "}");
    }

    fn ways(&mut self, classes: &BTreeMap<&str, Methods<'_>>) {
        self.line(0, "");
        self.line(0, "const WAYS: { [C in keyof Classes]: Record<keyof Classes[C], Way> } = {");
        for (class, methods) in classes {
            self.line(1, &format!("{}: {{", text(class)));
            for (name, Method { verb, operation }) in methods {
                let content = &operation["responses"]["200"]["content"];
                let streams = content.get("text/event-stream").map_or("", |_| ", streams: true");
                let verb = text(&verb.to_uppercase());
                self.line(2, &format!("{}: {{ verb: {verb}{streams} }},", property(name)));
            }
            self.line(1, "},");
        }
        self.line(0, "};");
    }
}

/// The method's own error. `None`: it has none.
fn rejection<'a>(method: &Method<'a>) -> Option<&'a Value> {
    let content = &method.operation["responses"]["422"]["content"];
    content.pointer("/application~1problem+json/schema/allOf/1/properties/error")
}

/// The arguments of a query, as the schema of an object.
fn query(operation: &Value) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    for parameter in parameters.filter(|parameter| parameter["in"] == "query") {
        let nested = parameter.pointer("/content/application~1json/schema");
        let schema = nested.unwrap_or(&parameter["schema"]).clone();
        let name = parameter["name"].as_str().unwrap_or_default();
        properties.insert(name.to_owned(), schema);
        if parameter["required"] == true {
            required.push(Value::from(name));
        }
    }
    serde_json::json!({ "type": "object", "properties": properties, "required": required })
}

/// A text that stays in its line.
fn line_of(text: &Value) -> String {
    text.as_str().unwrap_or_default().replace(['\n', '\r', '\u{2028}', '\u{2029}'], " ")
}

//! What is served is described, as it is, and nothing else is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use durable::http::{Asking, Authorize, Denial, Edge, OpenApi, Scheme, Server};
use durable::{Metadata, Runtime};
use roas::v3_1::spec::Spec;
use roas::validation::{Options, Validate};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::client::{Reply, ask, post};
use crate::shop::Shop;
use crate::{Booth, Vault, served, started};

/// A document, and the server that says it.
struct Described {
    address: SocketAddr,
    document: Value,
    _kept: (TempDir, Runtime, Server),
}

async fn described_as(settings: impl FnOnce(Edge) -> Edge) -> Described {
    let dir = tempfile::tempdir().unwrap();
    let builder = Runtime::builder(dir.path()).register::<Shop>();
    let runtime = builder.register::<Vault>().register::<Booth>().start().await.unwrap();
    let server = settings(Edge::new(&runtime)).serve(([127, 0, 0, 1], 0)).await.unwrap();
    let address = server.address();
    let reply = get(address, "/openapi.json").await;
    assert_eq!((reply.status, &*reply.headers["content-type"]), (200, "application/json"));
    Described { address, document: reply.json(), _kept: (dir, runtime, server) }
}

async fn described() -> Described {
    described_as(|edge| edge).await
}

async fn get(address: SocketAddr, path: &str) -> Reply {
    ask(address, &format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await
}

impl Described {
    /// A method, by its operation's id.
    fn operation(&self, id: &str) -> &Value {
        let mut all = operations(&self.document);
        all.remove(id).unwrap_or_else(|| panic!("{id} is not described"))
    }

    /// Whether a value is as a schema of the document says.
    fn allows(&self, schema: &Value, value: &Value) -> bool {
        let whole = json!({ "allOf": [schema], "components": self.document["components"] });
        jsonschema::draft202012::new(&whole).expect("it is a schema").is_valid(value)
    }

    /// What stands at a reference, if it is one.
    fn followed<'a>(&'a self, value: &'a Value) -> &'a Value {
        let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return value };
        self.document.pointer(&reference[1..]).expect("it leads somewhere")
    }

    /// Whether a reply is one that an operation says.
    fn expects(&self, operation: &Value, reply: &Reply) -> bool {
        let response = &operation["responses"][reply.status.to_string()];
        let response = self.followed(response);
        let content = &response["content"][&reply.headers["content-type"]];
        content.get("schema").is_some_and(|schema| self.allows(schema, &reply.json()))
    }
}

/// The operations of a document, by their ids.
fn operations(document: &Value) -> BTreeMap<&str, &Value> {
    let paths = document["paths"].as_object().unwrap().values();
    let operations = paths.flat_map(|path| path.as_object().unwrap().values());
    operations.map(|operation| (operation["operationId"].as_str().unwrap(), operation)).collect()
}

/// The same without formats of numbers but four: the validator knows no others, where OpenAPI 3.1 lets there be any.
fn with_few_formats(mut value: Value) -> Value {
    if let Value::Object(members) = &mut value {
        if members.get("format").is_some_and(|format| {
            format.is_string()
                && !["int32", "int64", "float", "double"].contains(&format.as_str().unwrap())
        }) {
            members.remove("format");
        }
        for member in members.values_mut() {
            *member = with_few_formats(member.take());
        }
    } else if let Value::Array(values) = &mut value {
        for member in values {
            *member = with_few_formats(member.take());
        }
    }
    value
}

/// What a public validator of OpenAPI 3.1 has against a document.
fn faults(document: &Value) -> Vec<String> {
    let document = &with_few_formats(document.clone());
    let spec: Spec = match serde_json::from_value(document.clone()) {
        Ok(spec) => spec,
        Err(error) => return vec![error.to_string()],
    };
    let faults =
        spec.validate(Options::empty(), None).err().map_or(Vec::new(), |error| error.errors);
    let mut faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    // A word that it does not know would be lost.
    lost(document, &serde_json::to_value(&spec).unwrap(), "", &mut faults);
    faults
}

/// What has gone when a document was read and written again, by its places.
fn lost(before: &Value, after: &Value, place: &str, faults: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (name, value) in before {
                let after = after.get(name).unwrap_or(&Value::Null);
                lost(value, after, &format!("{place}/{name}"), faults);
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (one, other) in before.iter().zip(after) {
                lost(one, other, &format!("{place}/-"), faults);
            }
        }
        _ if before == after => {}
        _ => faults.push(format!("{place}: {before} is {after} when it is written again")),
    }
}

#[tokio::test]
async fn a_public_validator_has_nothing_against_the_document() {
    let all = described().await.document;
    assert_eq!(faults(&all), [""; 0]);
    let guarded = described_as(|edge| edge.authorize(nobody)).await.document;
    assert_eq!(faults(&guarded), [""; 0]);
    let none = Runtime::builder(tempfile::tempdir().unwrap().path()).start().await;
    let none: Value = serde_json::from_str(&durable::http::openapi(&none.unwrap())).unwrap();
    assert_eq!(none["paths"], json!({}));
    for schema in all["components"]["schemas"].as_object().unwrap().values() {
        assert!(jsonschema::meta::is_valid(schema), "{schema}");
    }
    // It would find what is wrong.
    type Spoil = fn(&mut Value);
    let spoilt: [Spoil; 4] = [
        |document| drop(document["info"].as_object_mut().unwrap().remove("title")),
        |document| drop(document["components"]["schemas"].as_object_mut().unwrap().remove("Line")),
        |document| {
            let path = &mut document["paths"]["/edge.Shop/{name}/put"]["post"];
            path["operationId"] = "edge.Shop.take".into();
        },
        |document| {
            let path = &mut document["paths"]["/edge.Shop/{name}/put"]["post"];
            path["parameters"][0]["in"] = "somewhere".into();
        },
    ];
    for (number, spoil) in spoilt.iter().enumerate() {
        let mut document = all.clone();
        spoil(&mut document);
        assert!(!faults(&document).is_empty(), "{number}");
    }
}

#[tokio::test]
async fn what_has_not_opted_in_is_not_described() {
    let served = served().await;
    let document = served.get("/openapi.json").await;
    let expected = [
        "above",
        "balance",
        "called",
        "carried",
        "deposit",
        "deposit_slowly",
        "nothing",
        "panic",
        "withdraw",
    ]
    .map(|method| format!("edge.Account.{method}"));
    let expected: BTreeSet<&str> =
        expected.iter().map(String::as_str).chain(["edge.Booth.visit"]).collect();
    let json = document.json();
    assert_eq!(operations(&json).into_keys().collect::<BTreeSet<_>>(), expected);
    let shop = described().await;
    for text in [document.body, shop.document.to_string()] {
        for word in ["seize", "burn", "Vault", "hidden", "Rare", "gone"] {
            assert!(!text.contains(word), "{word}");
        }
    }
}

#[tokio::test]
async fn a_method_is_described_as_it_is_called() {
    let described = described().await;
    let put = described.operation("edge.Shop.put");
    assert_eq!(put["description"], "Puts something in.\n\nGives how much of it there is.");
    assert_eq!(put["tags"], json!(["edge.Shop"]));
    let body = &put["requestBody"]["content"]["application/json"]["schema"];
    let line = json!({ "$ref": "#/components/schemas/LineInput" });
    let expected = json!({
        "type": "object",
        "properties": { "line": line },
        "required": ["line"],
        "additionalProperties": false,
    });
    assert_eq!(*body, expected);
    let result = &put["responses"]["200"]["content"]["application/json"]["schema"];
    assert_eq!(*result, json!({ "type": "integer", "format": "uint32", "minimum": 0 }));
    let parameters = |id: &str| {
        let all = described.operation(id)["parameters"].as_array().unwrap();
        all.iter().map(|one| one["name"].as_str().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(parameters("edge.Shop.put"), ["name", "Idempotency-Key", "Durable-Timeout"]);
    assert_eq!(parameters("edge.Shop.grow"), ["name", "Durable-Timeout"]);
    assert_eq!(parameters("edge.Shop.lines"), ["name", "from", "type", "Durable-Timeout"]);
    let statuses = |id: &str| {
        let all = described.operation(id)["responses"].as_object().unwrap().keys();
        all.map(|status| status.parse::<u16>().unwrap()).collect::<Vec<_>>()
    };
    let posted = [200, 400, 403, 404, 408, 413, 415, 422, 500, 503, 504];
    assert_eq!(statuses("edge.Shop.put"), posted);
    assert_eq!(statuses("edge.Shop.lines"), [200, 400, 403, 404, 500, 503, 504]);
    assert!(statuses("edge.Booth.visit").contains(&429));
    let when = &described.document["paths"]["/edge.Shop/{name}/when%20it%20was"]["post"];
    assert_eq!(
        (&when["deprecated"], &when["operationId"]),
        (&true.into(), &"edge.Shop.when it was".into())
    );
    assert!(put.get("deprecated").is_none());
    let each = &described.operation("edge.Shop.each")["responses"]["200"]["content"];
    let item = &each["text/event-stream"]["x-item-schema"];
    assert_eq!(*item, json!({ "$ref": "#/components/schemas/Line" }));
}

#[tokio::test]
async fn types_have_one_schema_for_each_of_their_forms() {
    let described = described().await;
    let schemas = &described.document["components"]["schemas"];
    let names: Vec<&str> = schemas.as_object().unwrap().keys().map(String::as_str).collect();
    // The count of a line may be left out where it is read, and stands there where it is written; another type is called so, too.
    let lines = ["Line", "Line2", "LineInput"];
    let others = ["Page", "Pay", "Refused", "Size", "Tree", "durable.Problem"];
    assert_eq!(names, [&lines[..], &others[..]].concat());
    assert_eq!(schemas["Line"]["required"], json!(["article", "count", "size"]));
    assert_eq!(schemas["LineInput"]["required"], json!(["article"]));
    assert_eq!(schemas["Line"]["description"], "How much there is of something.");
    assert_eq!(schemas["Line2"]["required"], json!(["number"]));
    let below = &schemas["Tree"]["properties"]["below"]["items"];
    assert_eq!(*below, json!({ "$ref": "#/components/schemas/Tree" }));
    let tell = described.operation("edge.Shop.tell");
    let body = &tell["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(body["properties"], json!({ "secret": {}, "other": {} }));
    assert_eq!(body["required"], json!(["secret"]), "an option need not come, whatever is in it");
}

#[tokio::test]
async fn the_document_allows_what_the_server_takes_and_expects_what_it_gives() {
    let described = described().await;
    for (method, body, is_taken) in [
        ("put", json!({ "line": { "article": "pen", "count": 7 } }), true),
        ("put", json!({ "line": { "article": "pen" } }), true),
        ("put", json!({ "line": { "article": "pen", "size": "small" } }), true),
        ("put", json!({ "line": { "article": "pen", "size": null } }), true),
        ("put", json!({ "line": { "article": "pen", "size": "huge" } }), false),
        ("put", json!({ "line": { "article": "pen", "count": -1 } }), false),
        ("put", json!({ "line": { "count": 1 } }), false),
        ("put", json!({}), false),
        ("put", json!({ "line": { "article": "pen" }, "more": 1 }), false),
        ("take", json!({ "article": "pen", "count": 2 }), true),
        ("take", json!({ "article": "pen", "count": 200 }), true),
        ("take", json!({ "article": "pen", "count": 2, "pay": "Cash" }), true),
        (
            "take",
            json!({ "article": "pen", "count": 2, "pay": { "Card": { "number": "4" } } }),
            true,
        ),
        ("take", json!({ "article": "pen", "count": 2, "pay": { "Card": "4" } }), false),
        ("take", json!({ "article": "pen", "count": "2" }), false),
        ("grow", json!({ "tree": { "name": "a", "below": [{ "name": "b", "below": [] }] } }), true),
        ("grow", json!({ "tree": { "name": "a", "below": [{ "name": "b" }] } }), false),
        ("number", json!({ "line": { "number": 7 } }), true),
        ("number", json!({ "line": { "number": 256 } }), false),
        ("tell", json!({ "secret": { "word": "x" } }), true),
        ("tell", json!({ "secret": { "word": "x" }, "other": { "word": "y" } }), true),
        ("when it was", json!({ "at": 5 }), true),
        ("when it was", json!({ "at": "now" }), false),
    ] {
        let operation = described.operation(&format!("edge.Shop.{method}"));
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!(described.allows(schema, &body), is_taken, "{method} {body}");
        let path = format!("/edge.Shop/s/{}", method.replace(' ', "%20"));
        let reply = post(described.address, &path, &body.to_string()).await;
        assert_eq!(reply.status != 400, is_taken, "{method} {body}: {reply:?}");
        assert!(described.expects(operation, &reply), "{method} {body}: {reply:?}");
    }
    let take = described.operation("edge.Shop.take");
    let body = r#"{"article":"pen","count":200}"#;
    let mut refused = post(described.address, "/edge.Shop/s/take", body).await;
    assert_eq!((refused.status, &refused.json()["error"]), (422, &json!({ "left": 7 })));
    refused.body = refused.body.replace("\"left\":7", "\"left\":\"7\"");
    assert!(!described.expects(take, &refused), "the error is described, too");
}

#[tokio::test]
async fn a_query_is_described_as_it_is_read() {
    let described = described().await;
    let parameter = |method: &str, name: &str| {
        let all = &described.operation(&format!("edge.Shop.{method}"))["parameters"];
        all.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone()
    };
    let number = json!({ "type": "integer", "format": "uint32", "minimum": 0 });
    let from = json!({ "name": "from", "in": "query", "required": true, "schema": number });
    assert_eq!(parameter("lines", "from"), from);
    let size = json!({ "$ref": "#/components/schemas/Size" });
    let size = json!({ "name": "type", "in": "query", "required": false, "schema": size });
    assert_eq!(parameter("lines", "type"), size, "what is left out is never null");
    let list = json!({ "application/json": { "schema": { "type": "array", "items": number } } });
    let among = json!({ "name": "among", "in": "query", "required": true, "content": list });
    assert_eq!(parameter("find", "among"), among);
    let pay = parameter("find", "pay");
    assert_eq!(pay["schema"], json!({ "$ref": "#/components/schemas/Pay" }));
    assert_eq!(pay["description"], "A text as it is, everything else as JSON.");
    for (path, is_taken) in [
        ("lines?from=0", true),
        ("lines?from=0&type=small", true),
        ("lines?from=0&type=null", false),
        ("lines", false),
        ("find?text=5&among=[]&pay=Cash&wide=true", true),
        ("find?text=&among=[1,2]&pay=%7B%22Card%22:%7B%22number%22:%224%22%7D%7D&wide=false", true),
        ("find?text=&among=1&pay=Cash&wide=true", false),
    ] {
        let method = path.split('?').next().unwrap();
        let reply = get(described.address, &format!("/edge.Shop/s/{path}")).await;
        assert_eq!(reply.status == 200, is_taken, "{path}: {reply:?}");
        let operation = described.operation(&format!("edge.Shop.{method}"));
        assert!(described.expects(operation, &reply), "{path}: {reply:?}");
    }
}

/// Refuses everyone.
fn nobody(_: &Asking<'_>) -> Result<Metadata, Denial> {
    Err(Denial::unauthenticated("Bearer"))
}

/// The same, by another header.
struct Keys;

impl Authorize for Keys {
    async fn authorize(&self, asking: &Asking<'_>) -> Result<Metadata, Denial> {
        nobody(asking)
    }

    fn scheme(&self) -> Scheme {
        Scheme::header("X-Api-Key")
    }
}

#[tokio::test]
async fn a_scheme_is_said_only_where_it_is_asked_who_calls() {
    for open in [described().await, described_as(Edge::allow_all).await] {
        assert!(open.document.get("security").is_none());
        assert!(open.document["components"].get("securitySchemes").is_none());
        assert!(open.operation("edge.Shop.put")["responses"].get("401").is_none());
    }
    // The document itself is for everyone.
    let guarded = described_as(|edge| edge.authorize(nobody)).await;
    assert_eq!(guarded.document["security"], json!([{ "caller": [] }]));
    let scheme = &guarded.document["components"]["securitySchemes"]["caller"];
    assert_eq!(*scheme, json!({ "type": "http", "scheme": "bearer" }));
    let put = guarded.operation("edge.Shop.put");
    let reply = post(guarded.address, "/edge.Shop/s/put", "{}").await;
    assert_eq!(reply.status, 401);
    assert!(guarded.expects(put, &reply), "{reply:?}");
    let keys = described_as(|edge| edge.authorize(Keys)).await;
    let scheme = &keys.document["components"]["securitySchemes"]["caller"];
    assert_eq!(*scheme, json!({ "type": "apiKey", "in": "header", "name": "X-Api-Key" }));
    assert_eq!(faults(&keys.document), [""; 0]);
}

#[tokio::test]
async fn a_program_says_what_it_is_called_or_that_nothing_is_described() {
    let bank = OpenApi::titled("Bank").version("1.2.0").server("https://bank.example/objects");
    let document = described_as(|edge| edge.openapi(bank)).await.document;
    assert_eq!(document["info"], json!({ "title": "Bank", "version": "1.2.0" }));
    assert_eq!(document["servers"], json!([{ "url": "https://bank.example/objects" }]));
    assert_eq!(faults(&document), [""; 0]);
    let served = crate::served_as(Edge::without_openapi).await;
    assert_eq!(served.get("/openapi.json").await.status, 404);
    assert!(Edge::new(&served.runtime).without_openapi().to_openapi().contains("edge.Account"));
    let served = crate::served().await;
    let reply = served.post("/openapi.json", "{}").await;
    assert_eq!((reply.status, &*reply.headers["allow"]), (405, "GET, HEAD"));
    let head = ask(served.address(), "HEAD /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!((head.status, &*head.body), (200, ""));
}

#[tokio::test]
async fn routes_that_are_nested_say_where_they_are() {
    let (_dir, runtime) = started().await;
    let app = axum::Router::new().nest("/v1/objects", durable::http::router(&runtime));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    let document = get(address, "/v1/objects/openapi.json").await.json();
    assert_eq!(document["servers"], json!([{ "url": "/v1/objects" }]));
    assert_eq!(faults(&document), [""; 0]);
    let balance = operations(&document)["edge.Account.balance"];
    assert!(balance["responses"].get("200").is_some());
    assert_eq!(get(address, "/v1/objects/edge.Account/ada/balance").await.body, "0");
    serving.abort();
}

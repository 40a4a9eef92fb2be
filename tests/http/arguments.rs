//! Requests that are wrong, and what they are told.

use crate::client::{ask, posting};
use crate::{Account, served, served_as};

#[tokio::test]
async fn arguments_that_are_wrong_are_refused_by_name() {
    let served = served().await;
    let deep = format!(r#"{{"cents":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
    let bomb = "[".repeat(500_000);
    for (body, expected) in [
        ("", "argument `cents` is missing"),
        ("{}", "argument `cents` is missing"),
        (r#"{"cents":1,"sum":2}"#, "there is no argument `sum`, they are `cents`"),
        (r#"{"cents":1,"cents":2}"#, "argument `cents` is given twice"),
        (r#"{"cents":"1"}"#, "argument `cents`: invalid type: string"),
        (r#"{"cents":-1}"#, "argument `cents`: invalid value: integer `-1`"),
        (r#"{"cents":1.5}"#, "argument `cents`: invalid type: floating point"),
        (r#"{"cents":18446744073709551616}"#, "argument `cents`: invalid type"),
        (r#"{"cents":null}"#, "argument `cents`: invalid type: null"),
        (&deep, "argument `cents`: invalid type: sequence"),
        (&bomb, "invalid type: sequence"),
        ("[1]", "invalid type: sequence"),
        ("1", "invalid type: integer"),
        ("{", "EOF while parsing"),
        (r#"{"cents":1}x"#, "trailing characters"),
        (r#"{"cents":1}{"cents":1}"#, "trailing characters"),
        ("{\"cents\":1,\"\u{0}\":1}", "control character"),
        (r#"{"\ud800":1}"#, "hex escape"),
    ] {
        let reply = served.post("/edge.Account/ada/deposit", body).await;
        let short: String = body.chars().take(40).collect();
        assert_eq!(reply.problem(), (400, "call.undecodable".to_owned()), "{short}");
        assert_eq!(reply.says("outcome"), "not_started");
        assert_eq!(reply.says("object"), "edge.Account(ada)");
        let detail = reply.says("detail");
        assert!(detail.contains(expected), "{short}: {detail}");
        assert!(detail.len() <= 1_024);
    }
    assert_eq!(served.get("/edge.Account/ada/balance").await.body, "0");
}

#[tokio::test]
async fn json_that_is_nested_too_deep_is_refused() {
    let served = served().await;
    let deep = format!(r#"{{"key":{}{}}}"#, r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    let reply = served.post("/edge.Account/ada/carried", &deep).await;
    assert_eq!(reply.problem(), (400, "call.undecodable".to_owned()));
    assert_eq!(served.post("/edge.Account/ada/nothing", "").await.status, 200);
}

#[tokio::test]
async fn a_get_has_its_arguments_in_the_query() {
    let served = served().await;
    served.runtime.get::<Account>("ada").deposit(5).await.unwrap();
    for (query, status, expected) in [
        ("cents=5", 200, "true"),
        ("cents=5&strictly=true", 200, "false"),
        ("strictly=false&cents=%36", 200, "false"),
        ("", 400, "argument `cents` is missing"),
        ("cents", 400, "argument `cents`: EOF"),
        ("cents=x5", 400, "argument `cents`: expected value"),
        ("cents=5x", 400, "argument `cents`: trailing characters"),
        ("cents=5&cents=6", 400, "argument `cents` is given twice"),
        ("cents=5&sum=1", 400, "there is no argument `sum`"),
        ("cents=5&strictly=yes", 400, "argument `strictly`"),
        ("cents=%", 400, "a `%` is not followed by two hex digits"),
        ("cents=%ff", 400, "percent escapes give no UTF-8"),
    ] {
        let reply = served.get(&format!("/edge.Account/ada/above?{query}")).await;
        assert_eq!(reply.status, status, "{query}: {reply:?}");
        assert!(reply.body.contains(expected), "{query}: {reply:?}");
    }
}

#[tokio::test]
async fn what_has_not_opted_in_looks_like_what_there_is_not() {
    let served = served().await;
    let vault = served.runtime.get::<crate::Vault>("v");
    let told = async |path: &str, word: &str| {
        let post = served.post(path, "{}").await;
        let get = served.get(path).await;
        assert_eq!((post.status, &post.body), (404, &get.body), "{path}");
        post.body.replace(word, "?")
    };
    let unknown = told("/edge.Missing/v/open", "edge.Missing").await;
    assert_eq!(told("/edge.Vault/v/open", "edge.Vault").await, unknown);
    let unknown = told("/edge.Account/v/missing", "missing").await;
    for method in ["seize", "burn", "Deposit", "deposit "] {
        let path = format!("/edge.Account/v/{}", method.replace(' ', "%20"));
        assert_eq!(told(&path, method).await, unknown, "{method}");
    }
    assert_eq!(vault.opened().await.unwrap(), 0);
    for path in
        ["/", "/edge.Account", "/edge.Account/ada", "/edge.Account/ada/deposit/", "//ada/deposit"]
    {
        let reply = served.post(path, "{}").await;
        let is_unknown = reply.status == 404;
        assert!(is_unknown, "{path}: {reply:?}");
    }
}

#[tokio::test]
async fn other_verbs_and_types_are_refused_with_those_that_are_right() {
    let served = served().await;
    for (verb, path, allowed) in [
        ("GET", "/edge.Account/ada/deposit?cents=1", "POST"),
        ("HEAD", "/edge.Account/ada/deposit", "POST"),
        ("PUT", "/edge.Account/ada/deposit", "POST"),
        ("OPTIONS", "/edge.Account/ada/deposit", "POST"),
        ("POST", "/edge.Account/ada/balance", "GET, HEAD"),
        ("DELETE", "/edge.Account/ada/balance", "GET, HEAD"),
    ] {
        let request = format!("{verb} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n");
        let reply = ask(served.address(), &request).await;
        assert_eq!((reply.status, &*reply.headers["allow"]), (405, allowed), "{verb} {path}");
    }
    for given in
        ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "json"]
    {
        let request = posting("/edge.Account/ada/deposit", "", r#"{"cents":1}"#);
        let said = format!("content-type: {given}");
        let request = request.replace("content-type: application/json", &said);
        let reply = ask(served.address(), &request).await;
        assert_eq!(reply.problem(), (415, "request.wrong_type".to_owned()), "{given}");
    }
    for given in ["application/json; charset=utf-8", "Application/JSON", "application/vnd.x+json"] {
        let request = posting("/edge.Account/ada/nothing", "", "{}");
        let request = request.replace("application/json", given);
        assert_eq!(ask(served.address(), &request).await.status, 200, "{given}");
    }
    assert_eq!(served.get("/edge.Account/ada/balance").await.body, "0");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let served = served_as(|edge| edge.body_bytes_max(100)).await;
    let declared = "POST /edge.Account/ada/deposit HTTP/1.1\r\nhost: x\r\n\
        content-type: application/json\r\ncontent-length: 99999999999\r\n\r\n";
    let reply = ask(served.address(), declared).await;
    assert_eq!(reply.problem(), (413, "request.too_large".to_owned()));
    let chunk = format!("32\r\n{}\r\n", " ".repeat(50));
    let chunked = format!(
        "POST /edge.Account/ada/deposit HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n{}0\r\n\r\n",
        chunk.repeat(5)
    );
    let reply = ask(served.address(), &chunked).await;
    assert_eq!(reply.problem(), (413, "request.too_large".to_owned()));
    let whole = format!(r#"{{"cents":1{}}}"#, " ".repeat(89));
    let largest = served.post("/edge.Account/ada/deposit", &whole).await;
    assert_eq!((whole.len(), &*largest.body), (100, "1"));
    let larger = served.post("/edge.Account/ada/deposit", &format!("{whole} ")).await;
    assert_eq!(larger.problem(), (413, "request.too_large".to_owned()));
}

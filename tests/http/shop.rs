//! Classes with all that a description of them can say.

use std::collections::BTreeMap;

use durable::WallMs;
use durable::http::{Edge, OpenApi, Request, Response};
use durable::prelude::*;
use durable::socket::{Close, Followed, Message, Socket};
use futures_util::{Stream, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much there is of something.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// What it is called.
    pub article: String,
    #[serde(default)]
    pub count: u32,
    pub size: Option<Size>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Size {
    Small,
    Large,
}

/// Leads to itself.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Tree {
    name: String,
    below: Vec<Tree>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub enum Pay {
    Cash,
    Card { number: String },
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Page<T> {
    items: Vec<T>,
    more: bool,
}

/// Says nothing of its shape.
#[derive(Debug, Serialize, Deserialize)]
pub struct Secret {
    word: String,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Refused {
    left: u32,
}

/// An alias, which a macro cannot see through.
type Taken<T> = Result<T, Refused>;

mod other {
    /// Called like another type, and not the same.
    #[derive(Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    pub struct Line {
        pub number: u8,
    }
}

#[derive(Default, DurableState)]
pub struct Shop {
    lines: BTreeMap<String, u32>,
}

#[durable_object(name = "edge.Shop", http)]
impl Shop {
    /// Puts something in.
    ///
    /// Gives how much of it there is.
    pub fn put(&mut self, line: Line) -> u32 {
        let count = self.lines.entry(line.article).or_default();
        *count += line.count;
        *count
    }

    /// Takes something out.
    pub fn take(&mut self, article: String, count: u32, pay: Option<Pay>) -> Taken<Line> {
        let _ = pay;
        let left = self.lines.get(&article).copied().unwrap_or_default();
        let count = left.checked_sub(count).ok_or(Refused { left })?;
        Ok(Line { article, count, size: Some(Size::Large) })
    }

    #[rpc(http = "GET")]
    pub fn lines(&self, from: u32, r#type: Option<Size>) -> Page<Line> {
        let lines = self.lines.iter().skip(from as usize);
        let lines = lines.map(|(article, count)| Line {
            article: article.clone(),
            count: *count,
            size: r#type,
        });
        Page { items: lines.collect(), more: false }
    }

    #[rpc(http = "GET")]
    pub fn find(&self, text: String, among: Vec<u32>, pay: Pay, wide: bool) -> Option<String> {
        let _ = pay;
        (wide && among.is_empty()).then_some(text)
    }

    pub fn grow(&self, tree: Tree) -> Tree {
        tree
    }

    pub fn number(&self, line: other::Line) -> u8 {
        line.number
    }

    pub fn tell(&self, secret: Secret, other: Option<Secret>) -> Result<Secret, Secret> {
        other.map_or(Ok(secret), Err)
    }

    #[rpc(name = "when it was")]
    #[deprecated = "nobody knows"]
    pub fn when(&self, cx: &Context<'_, Self>, at: WallMs) -> (ObjectId, WallMs) {
        (cx.id(), at)
    }

    #[rpc(http = "GET")]
    pub fn each(&self, times: u8) -> impl Stream<Item = Line> + use<> {
        let line = Line { article: "pen".to_owned(), count: 1, size: None };
        stream::iter(vec![line; times.into()])
    }

    pub fn called(&self, cx: &Context<'_, Self>) -> Option<String> {
        cx.name().map(str::to_owned)
    }

    #[cfg(any())]
    pub fn gone(&self) -> NoType {
        NoType
    }

    /// Tells everybody who follows of a price.
    pub async fn price(
        &mut self,
        cx: &mut Context<'_, Self>,
        article: String,
        cents: u32,
    ) -> Result<u64, String> {
        let told = cx.broadcast("prices", &Price { article, cents }).await;
        told.map_err(|error| error.to_string())
    }

    /// Closes all sockets, whose pages come again.
    pub fn close(&mut self, cx: &mut Context<'_, Self>) -> u64 {
        let all = cx.sockets().all();
        all.iter().for_each(|socket| cx.sockets().close(*socket, Close::new(4_000, "come again")));
        all.len() as u64
    }

    #[on_connect]
    async fn come(
        &mut self,
        cx: &mut Context<'_, Self>,
        socket: Socket,
        request: Request,
    ) -> Result<(), Response> {
        let Seen { after, who } = request.query()?;
        let followed = cx.follow(socket, "prices", after).await;
        let Followed { newest, has_gap } = followed.map_err(|error| Response::new(error.code()))?;
        let greeted = cx.sockets().send(socket, format!("{who} {newest} {has_gap}"));
        greeted.map_err(|error| Response::new(error.code()))
    }

    #[on_message]
    fn hear(&mut self, cx: &mut Context<'_, Self>, from: Socket, message: Message) {
        let _ = cx.sockets().send(from, message);
    }

    #[rpc(http = "off")]
    pub fn hidden(&mut self, rare: Rare) -> u8 {
        rare.value
    }
}

/// An event.
#[derive(Serialize)]
struct Price {
    article: String,
    cents: u32,
}

/// What a page says that follows.
#[derive(Deserialize)]
struct Seen {
    after: u64,
    who: String,
}

/// Only a method that is not served knows it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Rare {
    value: u8,
}

/// The client in TypeScript.
pub fn client(runtime: &Runtime) -> String {
    let about = OpenApi::titled("Shop").version("1.0.0");
    Edge::new(runtime).openapi(about).to_typescript()
}

//! What a route takes and gives, as the document has it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::{PartialSchema, ToSchema};

use crate::admin::enqueued::EnqueueView;
use crate::http::api::list::Page;

/// What a route takes and gives, beside its name and role.
pub(super) struct Operation {
    pub(super) summary: &'static str,
    /// Parameters of the query: name, what it is, its schema.
    pub(super) query: Vec<(&'static str, &'static str, Value)>,
    /// Those of them that must be given.
    pub(super) required: Vec<&'static str>,
    /// Does it take an Idempotency-Key?
    pub(super) once: bool,
    /// Type and schema of the body, and whether it must be there.
    pub(super) body: Option<(&'static str, Value, bool)>,
    /// Status, type and schema of the answers that are no problems.
    pub(super) answers: Vec<(u16, &'static str, Value)>,
}

/// The schemas that others refer to.
#[derive(Default)]
pub(super) struct Schemas(pub(super) BTreeMap<String, Value>);

impl Schemas {
    /// A reference to the schema of a type, which is added with all that it refers to.
    pub(super) fn of<T: ToSchema + PartialSchema>(&mut self) -> Value {
        self.named::<T>(T::name().into_owned())
    }

    /// The same for a page, under the name by which other schemas refer to it.
    pub(super) fn page_of<T: ToSchema + PartialSchema>(&mut self) -> Value {
        self.of::<T>();
        self.named::<Page<T>>(format!("{}_{}", Page::<T>::name(), T::name()))
    }

    fn named<T: ToSchema + PartialSchema>(&mut self, name: String) -> Value {
        let mut others = Vec::new();
        T::schemas(&mut others);
        others.push((name.clone(), T::schema()));
        for (name, schema) in others {
            let mut schema = serde_json::to_value(schema).expect("a schema must be JSON");
            to_json_words(&mut schema);
            leave_out(&mut schema);
            let before = self.0.insert(name.clone(), schema.clone());
            assert!(before.is_none_or(|before| before == schema), "two types are called {name}");
        }
        json!({"$ref": format!("#/components/schemas/{name}")})
    }
}

/// What is flattened into an object and may be missing leaves no `null` behind: its members are not there.
fn leave_out(schema: &mut Value) {
    for part in schema.get_mut("allOf").and_then(Value::as_array_mut).into_iter().flatten() {
        let is_null = |one: &Value| *one == json!({"type": "null"});
        let Some(Value::Array(choices)) = part.get("oneOf") else { continue };
        if choices.iter().any(is_null) {
            let mut left: Vec<Value> = choices.iter().filter(|one| !is_null(one)).cloned().collect();
            left.push(json!({"type": "object"}));
            *part = json!({"anyOf": left});
        }
    }
}

/// The comments of our types speak of Rust.
pub(super) fn to_json_words(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(text)) = members.get_mut("description") {
                *text = text.replace("`None`", "`null`").replace("[`LISTED`]", "1,000");
            }
            members.values_mut().for_each(to_json_words);
        }
        Value::Array(items) => items.iter_mut().for_each(to_json_words),
        _ => {}
    }
}

pub(super) fn text() -> Value {
    json!({"type": "string"})
}

pub(super) fn flag() -> Value {
    json!({"type": "boolean"})
}

pub(super) fn number() -> Value {
    json!({"type": "integer", "minimum": 0})
}

pub(super) fn any() -> Value {
    json!({})
}

impl Operation {
    pub(super) fn new(summary: &'static str) -> Self {
        Self { summary, query: Vec::new(), required: Vec::new(), once: false, body: None, answers: Vec::new() }
    }

    pub(super) fn query(mut self, name: &'static str, what: &'static str, schema: Value) -> Self {
        self.query.push((name, what, schema));
        self
    }

    /// A parameter that must be given.
    pub(super) fn needs(mut self, name: &'static str, what: &'static str, schema: Value) -> Self {
        self.required.push(name);
        self.query(name, what, schema)
    }

    pub(super) fn paged(self) -> Self {
        let limit = json!({"type": "integer", "minimum": 1, "maximum": 200, "default": 50});
        self.query("limit", "How many items the page has", limit).query(
            "cursor",
            "The member next of the page before",
            text(),
        )
    }

    pub(super) fn body(mut self, kind: &'static str, schema: Value, required: bool) -> Self {
        self.body = Some((kind, schema, required));
        self
    }

    pub(super) fn answer(mut self, status: u16, kind: &'static str, schema: Value) -> Self {
        self.answers.push((status, kind, schema));
        self
    }

    pub(super) fn gives<T: ToSchema + PartialSchema>(self, schemas: &mut Schemas) -> Self {
        let schema = schemas.of::<T>();
        self.answer(200, "application/json", schema)
    }

    pub(super) fn lists<T: ToSchema + PartialSchema>(self, schemas: &mut Schemas) -> Self {
        let schema = schemas.page_of::<T>();
        self.paged().answer(200, "application/json", schema)
    }

    /// It may be repeated under a key.
    pub(super) fn once(mut self) -> Self {
        self.once = true;
        self
    }

    pub(super) fn enqueues(self, schemas: &mut Schemas) -> Self {
        let schema = schemas.of::<EnqueueView>();
        self.answer(201, "application/json", schema.clone()).answer(200, "application/json", schema)
    }
}

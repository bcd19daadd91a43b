//! The API description (OpenAPI 3.1), generated from the route table so that no route can be missing; the page that renders
//! it with our own assets; and the page of the error codes.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use serde_json::{Value, json};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Ref, Schema, SchemaFormat, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, HttpMethod, InfoBuilder, OpenApiBuilder, PathItem, Paths, RefOr,
    Required, ResponseBuilder, ServerBuilder,
};
use utoipa::{IntoParams, PartialSchema as _, ToSchema};

use super::codes;
use super::json::{Page, ProblemJson};
use super::route::{Access, ApiDoc, Route, Web};
use super::shapes::{Cursor, text};
use crate::documents::Format;

impl Route {
    /// The summary, a sentence.
    pub fn says(mut self, summary: &'static str) -> Self {
        self.doc.summary = summary;
        self
    }

    /// Adds these query parameters.
    pub fn filters<T: IntoParams>(mut self) -> Self {
        self.doc.query.extend(T::into_params(|| Some(ParameterIn::Query)));
        self
    }

    /// Marks a paginated list.
    pub fn by_pages(mut self) -> Self {
        let limit = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(200));
        let limit = Schema::Object(limit.build()).into();
        self.doc.query.push(parameter(
            "limit",
            ParameterIn::Query,
            limit,
            "Rows on a page; 50 when not named",
        ));
        let message = "`next` of the page before, unchanged";
        self.doc.query.push(parameter("after", ParameterIn::Query, Cursor::schema(), message));
        self
    }

    /// The schema of a path parameter.
    pub fn names<T: ToSchema>(mut self, name: &'static str) -> Self {
        self.doc.names.push((name, T::schema()));
        self
    }

    /// Adds a query parameter with its own schema.
    pub fn takes_in_query(mut self, name: &str, schema: ObjectBuilder, description: &str) -> Self {
        let schema = Schema::Object(schema.build()).into();
        self.doc.query.push(parameter(name, ParameterIn::Query, schema, description));
        self
    }

    /// Adds a required header.
    pub fn needs_header(mut self, name: &str, description: &str) -> Self {
        let value = Schema::Object(text().min_length(Some(1)).build()).into();
        let mut header = parameter(name, ParameterIn::Header, value, description);
        header.required = Required::True;
        self.doc.headers.push(header);
        self
    }

    /// Takes a foreign object, stored byte for byte.
    pub fn takes_foreign(mut self, description: &str) -> Self {
        let object = ObjectBuilder::new().schema_type(Type::Object).description(Some(description));
        self.doc.takes = Some(("application/json", Schema::Object(object.build()).into()));
        self
    }

    /// Responds with the version as `ETag`.
    pub fn tagged(mut self) -> Self {
        self.doc.tagged = true;
        self
    }

    /// Takes `If-Match`: applies only to that version.
    pub fn takes_tag(mut self) -> Self {
        self.doc.takes_tag = true;
        self
    }

    /// Queries a vendor before it responds.
    pub fn asks_vendor(mut self) -> Self {
        self.doc.asks_vendor = true;
        self
    }

    /// Takes a JSON body of this type.
    pub fn takes<T: ToSchema>(mut self) -> Self {
        let schema = self.doc.refer::<T>();
        self.doc.takes = Some(("application/json", schema));
        self
    }

    /// Takes a file with rows: CSV or an Excel workbook.
    pub fn takes_rows(mut self) -> Self {
        let text = ObjectBuilder::new().schema_type(Type::String);
        let bytes = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
        self.doc.takes = Some((Format::Csv.bare_type(), Schema::Object(text.build()).into()));
        self.doc.takes_also = Some((Format::Xlsx.bare_type(), Schema::Object(bytes.build()).into()));
        self
    }

    /// Responds with JSON of this type.
    pub fn answers<T: ToSchema>(mut self, status: u16) -> Self {
        let schema = self.doc.refer::<T>();
        self.doc.answers.push((status, Some(schema)));
        self
    }

    /// Responds with a page of these as JSON.
    pub fn answers_page<T: ToSchema>(mut self) -> Self
    where
        Page<T>: ToSchema,
    {
        // The page refers to its items by name.
        let _ = self.doc.refer::<T>();
        self.answers::<Page<T>>(200)
    }

    /// Requires an `Idempotency-Key`.
    pub fn needs_key(mut self) -> Self {
        self.doc.needs_key = true;
        self
    }

    /// Responds with a status and no body.
    pub fn answers_nothing(mut self, status: u16) -> Self {
        self.doc.answers.push((status, None));
        self
    }
}

fn parameter(name: &str, place: ParameterIn, schema: RefOr<Schema>, description: &str) -> Parameter {
    let required = if place == ParameterIn::Path { Required::True } else { Required::False };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

/// The description, as JSON.
pub fn describe(routes: &[Route], base_url: &str) -> String {
    let mut paths = Paths::new();
    let mut components = ComponentsBuilder::new().security_scheme(
        "api_key",
        SecurityScheme::Http(
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("brs_…").build(),
        ),
    );
    let mut problem = ApiDoc::default();
    let _ = problem.refer::<ProblemJson>();
    for (name, schema) in problem.schemas {
        components = components.schema(name, schema);
    }
    for status in PROBLEMS {
        components = components.response(problem_name(status), problem_response(description(status)));
    }
    for route in routes.iter().filter(|route| !route.doc.summary.is_empty()) {
        let item = PathItem::new(method_of(&route.method), operation(route));
        match paths.paths.get_mut(route.path) {
            Some(known) => known.merge_operations(item),
            None => {
                paths.paths.insert(route.path.to_owned(), item);
            }
        }
        for (name, schema) in &route.doc.schemas {
            components = components.schema(name, schema.clone());
        }
    }
    let codes = codes::PATH;
    let message = format!(
        "Rewards, batches and payments of Bursar. Money is a decimal string with its currency; an unknown field is refused; errors are problem+json (RFC 9457), and [{codes}]({codes}) says what each code means; every POST takes an Idempotency-Key; a key that sends more requests than are taken is answered 429 with Retry-After."
    );
    let info = InfoBuilder::new()
        .title("Bursar")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(message))
        .build();
    let document = OpenApiBuilder::new()
        .info(info)
        .servers(Some([ServerBuilder::new().url(base_url).build()]))
        .paths(paths)
        .components(Some(components.build()))
        .build();
    let mut document = serde_json::to_value(&document).unwrap_or_default();
    let items = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    for operation in items.filter_map(Value::as_object_mut).flat_map(|item| item.values_mut()) {
        let all = operation["parameters"].as_array_mut();
        for parameter in all.into_iter().flatten().filter(|one| one["in"] == "query") {
            as_written(parameter);
        }
    }
    document.to_string()
}

/// Corrects a query parameter: it is text, never null, and an empty one counts as absent.
fn as_written(parameter: &mut Value) {
    parameter["allowEmptyValue"] = json!(true);
    let schema = &mut parameter["schema"];
    let null = json!("null");
    if let Some(of) = schema["type"].as_array().and_then(|types| types.iter().find(|one| **one != null)) {
        schema["type"] = of.clone();
    }
    let one = schema["oneOf"].as_array().and_then(|all| all.iter().find(|one| one["type"] != null));
    if let Some(one) = one.cloned() {
        *schema = one;
    }
}

/// The problem statuses described for each route; `default` covers the others.
const PROBLEMS: [u16; 12] = [400, 401, 403, 404, 409, 412, 413, 415, 422, 429, 502, 503];

fn description(status: u16) -> &'static str {
    StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Problem")
}

fn problem_name(status: u16) -> String {
    description(status).replace(' ', "")
}

fn problem_response(description: &str) -> utoipa::openapi::Response {
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(description).content("application/problem+json", problem).build()
}

/// The problem statuses a route may return, by its middleware and its body.
fn problems(route: &Route) -> Vec<u16> {
    let doc = &route.doc;
    let (open, body) = (route.access == Access::Open, doc.takes.is_some());
    let writes = route.method != Method::GET && !open;
    let applies = |status: &u16| match status {
        400 => body || writes || !doc.query.is_empty(),
        401 | 403 | 429 => !open,
        404 => route.path.contains('{'),
        409 => writes || (route.path.contains('{') && !open),
        412 => doc.takes_tag,
        413 => body,
        415 => body && !open,
        422 => (writes || !doc.query.is_empty()) && !open,
        502 => doc.asks_vendor,
        503 => route.heavy || open,
        _ => false,
    };
    PROBLEMS.into_iter().filter(applies).collect()
}

fn method_of(method: &Method) -> HttpMethod {
    match method.as_str() {
        "POST" => HttpMethod::Post,
        "PUT" => HttpMethod::Put,
        "PATCH" => HttpMethod::Patch,
        "DELETE" => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}

fn operation(route: &Route) -> Operation {
    let tag = route.path.trim_start_matches("/api/v1").split('/').nth(1).unwrap_or("");
    let names = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = names.map(|name| {
        let known = route.doc.names.iter().find(|(known, _)| *known == name);
        let any = || Schema::Object(text().min_length(Some(1)).build()).into();
        let schema = known.map_or_else(any, |(_, schema)| schema.clone());
        let message =
            if known.is_some() { name } else { "Our id, its number where it has one, or your own id" };
        parameter(name, ParameterIn::Path, schema, message)
    });
    let headers = route.doc.headers.iter().cloned().chain(key_of(route)).chain(tag_of(route));
    let mut operation = OperationBuilder::new()
        .tag(tag)
        .summary(Some(route.doc.summary))
        .operation_id(Some(format!(
            "{}{}",
            route.method.as_str().to_lowercase(),
            route.path.replace('/', "_")
        )))
        .parameters(Some(in_path.chain(route.doc.query.iter().cloned()).chain(headers)));
    if route.access != Access::Open {
        operation = operation.security(SecurityRequirement::new::<_, [&str; 0], &str>("api_key", []));
    }
    if let Some((kind, schema)) = &route.doc.takes {
        let content = ContentBuilder::new().schema(Some(schema.clone())).build();
        // A missing body is an empty object, so only a body without required members is optional.
        let needed = *kind != "application/json"
            || needs_members(schema, &route.doc.schemas)
            || !route.doc.headers.is_empty();
        let needed = if needed { Required::True } else { Required::False };
        let mut body = RequestBodyBuilder::new().content(*kind, content).required(Some(needed));
        if let Some((kind, schema)) = &route.doc.takes_also {
            body = body.content(*kind, ContentBuilder::new().schema(Some(schema.clone())).build());
        }
        operation = operation.request_body(Some(body.build()));
    }
    for (status, schema) in &route.doc.answers {
        operation = operation.response(status.to_string(), answer(route, *status, schema.as_ref()));
    }
    for status in problems(route) {
        operation = operation.response(status.to_string(), Ref::from_response_name(problem_name(status)));
    }
    let message = "What went wrong: code, detail, errors by field, blockers, request id";
    operation.response("default", problem_response(message)).build()
}

fn answer(route: &Route, status: u16, schema: Option<&RefOr<Schema>>) -> utoipa::openapi::Response {
    let mut response = ResponseBuilder::new().description(description(status));
    if let Some(schema) = schema {
        let content = ContentBuilder::new().schema(Some(schema.clone())).build();
        response = response.content("application/json", content);
    }
    if route.doc.tagged {
        let version = Schema::Object(text().pattern(Some(TAG)).build());
        let header =
            HeaderBuilder::new().schema(Some(version)).description(Some("The version of what is answered"));
        response = response.header("ETag", header.build());
    }
    response.build()
}

/// The format of a version tag.
const TAG: &str = "^\"[0-9]+\"$";

/// Whether a schema has required members, so that an empty object is refused.
fn needs_members(schema: &RefOr<Schema>, known: &[(String, RefOr<Schema>)]) -> bool {
    match schema {
        RefOr::Ref(Ref { ref_location, .. }) => {
            let name = ref_location.rsplit('/').next();
            let found = known.iter().find(|(known, _)| Some(known.as_str()) == name);
            found.is_some_and(|(_, schema)| matches!(schema, RefOr::T(_)) && needs_members(schema, known))
        }
        RefOr::T(Schema::Object(object)) => !object.required.is_empty(),
        RefOr::T(Schema::OneOf(_)) => true,
        RefOr::T(_) => false,
    }
}

/// The idempotency header of a POST.
fn key_of(route: &Route) -> Option<Parameter> {
    if route.method != Method::POST || route.access == Access::Open {
        return None;
    }
    // Keys that start with `form:` are reserved for pages.
    let word = text().min_length(Some(1)).max_length(Some(255)).pattern(Some("^[!-~]([ -~]*[!-~])?$"));
    let message = "A word of your choice, new for each request and the same when you repeat it; it does not begin with `form:`";
    let word = Schema::Object(word.build()).into();
    let mut key = parameter("Idempotency-Key", ParameterIn::Header, word, message);
    if route.doc.needs_key {
        key.required = Required::True;
    }
    Some(key)
}

/// The header with the version that was seen.
fn tag_of(route: &Route) -> Option<Parameter> {
    let tag = text().pattern(Some("^(\\*|\"[0-9]+\")$"));
    let message =
        "The `ETag` that you saw: with another version there now, nothing is done and 412 answers with it";
    let of = || parameter("If-Match", ParameterIn::Header, Schema::Object(tag.build()).into(), message);
    route.doc.takes_tag.then(of)
}

/// The API description, the page that renders it, and the page of the error codes.
pub fn docs() -> Router<Web> {
    Router::new()
        .route("/api/v1/openapi.json", get(document))
        .route("/api/v1/docs", get(async || Redirect::to("/api/docs/")))
        .route("/api/docs", get(async || Redirect::to("/api/docs/")))
        .route("/api/docs/", get(async || asset("index.html")))
        .route(codes::PATH, get(codes::page))
        .route("/api/docs/{file}", get(async |Path(file): Path<String>| asset(&file)))
}

async fn document(State(web): State<Web>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], web.description.to_string()).into_response()
}

fn asset(file: &str) -> Response {
    let config = utoipa_swagger_ui::Config::from("/api/v1/openapi.json");
    match utoipa_swagger_ui::serve(file, config.into()) {
        Ok(Some(found)) => {
            let mut response = ([(header::CONTENT_TYPE, found.content_type)], found.bytes).into_response();
            if found.gzpipped {
                let gzip = axum::http::HeaderValue::from_static("gzip");
                response.headers_mut().insert(header::CONTENT_ENCODING, gzip);
            }
            response
        }
        Ok(None) => super::problem::Problem::missing().into_response(),
        Err(error) => super::problem::Problem::internal(&error).into_response(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_two_bodies_share_a_name() {
        let mut known = std::collections::BTreeMap::<String, String>::new();
        for route in crate::web::table() {
            for (name, schema) in route.doc.schemas {
                let text = serde_json::to_string(&schema).unwrap();
                let earlier = known.entry(name.clone()).or_insert_with(|| text.clone());
                assert_eq!(*earlier, text, "{name} names two different bodies");
            }
        }
        assert!(known.len() > 20);
    }

    #[test]
    fn everything_that_is_named_is_there_and_pages_are_told_as_pages() {
        let routes = crate::web::table();
        let text = super::describe(&routes, "https://bursar.example");
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for name in text.split("#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(schemas.contains_key(name), "{name} is referred to and not described");
        }
        for route in routes.iter().filter(|route| !route.doc.summary.is_empty()) {
            let body = &document["paths"][route.path][route.method.as_str().to_lowercase()];
            let names: Vec<&str> = body["parameters"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["name"].as_str().unwrap())
                .collect();
            let different: std::collections::BTreeSet<&&str> = names.iter().collect();
            assert_eq!(different.len(), names.len(), "{} {}: {names:?}", route.method, route.path);
            assert!(
                body["responses"]["default"]["content"]["application/problem+json"]["schema"].is_object()
            );
            if names.contains(&"after") {
                let page = &body["responses"]["200"]["content"]["application/json"]["schema"];
                let page = match page["$ref"].as_str() {
                    Some(name) => &schemas[name.rsplit('/').next().unwrap()],
                    None => page,
                };
                for part in ["data", "has_more", "next"] {
                    assert!(page["properties"][part].is_object(), "{}: {page}", route.path);
                }
            }
            let below = route.path.starts_with("/api/v1") && route.method == "POST";
            assert_eq!(names.contains(&"Idempotency-Key"), below, "{} {}", route.method, route.path);
        }
    }
}

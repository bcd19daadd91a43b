//! The API's own description (OpenAPI 3.1), made from the route table, so that a route cannot be forgotten in it; and
//! the page that renders it with assets of our own host.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use utoipa::openapi::path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Ref, Schema, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, HttpMethod, InfoBuilder, OpenApiBuilder, PathItem, Paths, Required,
    ResponseBuilder, ServerBuilder,
};
use utoipa::{IntoParams, ToSchema};

use super::json::{Page, ProblemJson};
use super::route::{Need, Route, Told, Web};

impl Route {
    /// Says what it does, in a sentence.
    #[must_use]
    pub fn says(mut self, summary: &'static str) -> Self {
        self.told.summary = summary;
        self
    }

    /// Takes these parameters in its query.
    #[must_use]
    pub fn filters<T: IntoParams>(mut self) -> Self {
        self.told.query.extend(T::into_params(|| Some(ParameterIn::Query)));
        self
    }

    /// Answers a list by pages.
    #[must_use]
    pub fn by_pages(mut self) -> Self {
        let limit = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(200));
        self.told.query.push(parameter(
            "limit",
            ParameterIn::Query,
            limit,
            "Rows on a page; 50 when not named",
        ));
        let after = ObjectBuilder::new().schema_type(Type::String);
        self.told.query.push(parameter("after", ParameterIn::Query, after, "`next` of the page before"));
        self
    }

    /// Takes this as JSON.
    #[must_use]
    pub fn takes<T: ToSchema>(mut self) -> Self {
        let schema = self.told.refer::<T>();
        self.told.takes = Some(("application/json", schema));
        self
    }

    /// Takes CSV.
    #[must_use]
    pub fn takes_csv(mut self) -> Self {
        let text = Schema::Object(ObjectBuilder::new().schema_type(Type::String).build());
        self.told.takes = Some(("text/csv", text.into()));
        self
    }

    /// Answers with this as JSON.
    #[must_use]
    pub fn answers<T: ToSchema>(mut self, status: u16) -> Self {
        let schema = self.told.refer::<T>();
        self.told.answers.push((status, Some(schema)));
        self
    }

    /// Answers with a page of these as JSON.
    #[must_use]
    pub fn answers_page<T: ToSchema>(mut self) -> Self
    where
        Page<T>: ToSchema,
    {
        // The page refers to what is on it by name.
        let _ = self.told.refer::<T>();
        self.answers::<Page<T>>(200)
    }

    /// Is done only under an `Idempotency-Key`.
    #[must_use]
    pub fn needs_key(mut self) -> Self {
        self.told.needs_key = true;
        self
    }

    /// Answers with a status and nothing else.
    #[must_use]
    pub fn answers_nothing(mut self, status: u16) -> Self {
        self.told.answers.push((status, None));
        self
    }
}

fn parameter(name: &str, place: ParameterIn, schema: ObjectBuilder, told: &str) -> Parameter {
    let required = if place == ParameterIn::Path { Required::True } else { Required::False };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(told))
        .schema(Some(Schema::Object(schema.build())))
        .build()
}

/// The description, as JSON.
#[must_use]
pub fn describe(routes: &[Route], base_url: &str) -> String {
    let mut paths = Paths::new();
    let mut components = ComponentsBuilder::new().security_scheme(
        "api_key",
        SecurityScheme::Http(
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("brs_…").build(),
        ),
    );
    let mut problem = Told::default();
    let _ = problem.refer::<ProblemJson>();
    for (name, schema) in problem.schemas {
        components = components.schema(name, schema);
    }
    for route in routes.iter().filter(|route| !route.told.summary.is_empty()) {
        let item = PathItem::new(method_of(&route.method), operation(route));
        match paths.paths.get_mut(route.path) {
            Some(known) => known.merge_operations(item),
            None => {
                paths.paths.insert(route.path.to_owned(), item);
            }
        }
        for (name, schema) in &route.told.schemas {
            components = components.schema(name, schema.clone());
        }
    }
    let told = "Rewards, batches and payments of Bursar. Money is a decimal string with its currency; an unknown field is refused; errors are problem+json (RFC 9457); every POST takes an Idempotency-Key.";
    let info =
        InfoBuilder::new().title("Bursar").version(env!("CARGO_PKG_VERSION")).description(Some(told)).build();
    let document = OpenApiBuilder::new()
        .info(info)
        .servers(Some([ServerBuilder::new().url(base_url).build()]))
        .paths(paths)
        .components(Some(components.build()))
        .build();
    document.to_json().unwrap_or_default()
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
        let text = ObjectBuilder::new().schema_type(Type::String);
        parameter(name, ParameterIn::Path, text, "An id")
    });
    let mut operation = OperationBuilder::new()
        .tag(tag)
        .summary(Some(route.told.summary))
        .operation_id(Some(format!(
            "{}{}",
            route.method.as_str().to_lowercase(),
            route.path.replace('/', "_")
        )))
        .parameters(Some(in_path.chain(route.told.query.iter().cloned()).chain(key_of(route))));
    if route.need != Need::Open {
        operation = operation.security(SecurityRequirement::new::<_, [&str; 0], &str>("api_key", []));
    }
    if let Some((kind, schema)) = &route.told.takes {
        let content = ContentBuilder::new().schema(Some(schema.clone())).build();
        operation = operation.request_body(Some(RequestBodyBuilder::new().content(*kind, content).build()));
    }
    for (status, schema) in &route.told.answers {
        let reason = StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason());
        let mut response = ResponseBuilder::new().description(reason.unwrap_or("Answer"));
        if let Some(schema) = schema {
            let content = ContentBuilder::new().schema(Some(schema.clone())).build();
            response = response.content("application/json", content);
        }
        operation = operation.response(status.to_string(), response.build());
    }
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let problem = ResponseBuilder::new()
        .description("What went wrong: code, detail, errors by field, blockers, request id")
        .content("application/problem+json", problem);
    operation.response("default", problem.build()).build()
}

/// The header under which a POST is done once.
fn key_of(route: &Route) -> Option<Parameter> {
    if route.method != Method::POST || route.need == Need::Open {
        return None;
    }
    let word = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(255));
    let told = "A word of your choice, new for each request and the same when you repeat it";
    let mut key = parameter("Idempotency-Key", ParameterIn::Header, word, told);
    if route.told.needs_key {
        key.required = Required::True;
    }
    Some(key)
}

/// The description and the page that renders it.
pub fn docs() -> Router<Web> {
    Router::new()
        .route("/api/v1/openapi.json", get(document))
        .route("/api/v1/docs", get(async || Redirect::to("/api/docs/")))
        .route("/api/docs", get(async || Redirect::to("/api/docs/")))
        .route("/api/docs/", get(async || asset("index.html")))
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
        Ok(None) => super::problem::Fault::missing().into_response(),
        Err(error) => super::problem::Fault::internal(&error).into_response(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_two_bodies_share_a_name() {
        let mut known = std::collections::BTreeMap::<String, String>::new();
        for route in crate::web::table() {
            for (name, schema) in route.told.schemas {
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
        for route in routes.iter().filter(|route| !route.told.summary.is_empty()) {
            let told = &document["paths"][route.path][route.method.as_str().to_lowercase()];
            let names: Vec<&str> = told["parameters"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["name"].as_str().unwrap())
                .collect();
            let different: std::collections::BTreeSet<&&str> = names.iter().collect();
            assert_eq!(different.len(), names.len(), "{} {}: {names:?}", route.method, route.path);
            assert!(
                told["responses"]["default"]["content"]["application/problem+json"]["schema"].is_object()
            );
            if names.contains(&"after") {
                let page = &told["responses"]["200"]["content"]["application/json"]["schema"];
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

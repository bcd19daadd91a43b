//! The OpenID Connect client for our people's identity provider: discovery, redeeming the authorization code, and
//! verifying the ID token. Not here: which login somebody gets (`ops::people::provider`).

use std::sync::{Arc, Mutex, PoisonError};

use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreClientAuthMethod, CoreErrorResponseType,
    CoreGenderClaim, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm,
    CoreProviderMetadata, CoreRevocableToken, CoreRevocationErrorResponse, CoreTokenIntrospectionResponse,
    CoreTokenType,
};
use openidconnect::{
    AdditionalClaims, AuthType, AuthorizationCode, ClaimsVerificationError, Client, ClientId, ClientSecret,
    CsrfToken, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest,
    HttpResponse, IdTokenClaims, IdTokenFields, IssuerUrl, Nonce, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, RequestTokenError, Scope, SignatureVerificationError, StandardErrorResponse,
    StandardTokenResponse, TokenResponse as _,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;
use vendors::http::{Answer, Http, Request};

use super::Work;
use crate::app::App;
use crate::config::{Oidc, Required};
use crate::ops::people::provider::{AuthorizationRequest, IdentityClaims, PendingSignIn};

/// The redirect URI path below our base URL. It must be registered at the provider.
pub const BACK: &str = "/login/provider/back";
/// How long the provider's metadata is fresh.
const KNOWN_US: i64 = 60 * 60 * 1_000_000;
/// How long stale metadata is used while the provider does not answer.
const KEPT_US: i64 = 24 * KNOWN_US;
/// How long not to retry after a failed discovery: otherwise everybody who signs in would wait for it.
const PAUSE_US: i64 = 30 * 1_000_000;
/// The minimum interval between metadata refreshes because of an unknown signing key.
const LOOKED_US: i64 = 60 * 1_000_000;
/// The clock skew we tolerate.
const SKEW_US: i64 = 5 * 60 * 1_000_000;
/// Reauthenticate at the provider if the last authentication is older than a session may last.
const MAX_AGE_SECONDS: u64 = 12 * 3_600;

/// Why a sign-in was not accepted. The text is for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderError {
    /// The provider does not answer, or not correctly.
    Away(String),
    /// What it signed does not verify.
    Wrong(String),
    /// They authenticated there longer ago than requested.
    Old,
    Settings(String),
}

/// The provider's cached metadata. Cheap to clone.
#[derive(Clone, Default)]
pub struct ProviderMetadata(Arc<MetadataCache>);

#[derive(Default)]
struct MetadataCache {
    last: Mutex<Last>,
    /// One task fetches; the others wait for its result.
    asking: tokio::sync::Mutex<()>,
}

/// The last metadata and the last failure, with their times.
#[derive(Clone, Default)]
struct Last {
    metadata: Option<(i64, CoreProviderMetadata)>,
    failed: Option<(i64, String)>,
}

impl ProviderMetadata {
    fn last(&self) -> Last {
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, change: impl FnOnce(&mut Last)) {
        change(&mut self.0.last.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Last {
    /// The result from the cache; `None` if the provider must be asked.
    fn goes(&self, now: i64, fresh_us: i64) -> Option<Result<CoreProviderMetadata, ProviderError>> {
        let since = |at: i64| if at <= now { now - at } else { i64::MAX };
        let said = |within: i64| self.metadata.as_ref().filter(|(at, _)| since(*at) < within);
        if let Some((_, metadata)) = said(fresh_us) {
            return Some(Ok(metadata.clone()));
        }
        let (_, why) = self.failed.as_ref().filter(|(at, _)| since(*at) < PAUSE_US)?;
        Some(
            said(KEPT_US)
                .map(|(_, metadata)| metadata.clone())
                .ok_or_else(|| ProviderError::Away(why.clone())),
        )
    }
}

/// The claims besides the standard ones.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct ExtraClaims {
    #[serde(flatten)]
    all: Map<String, Value>,
}

impl AdditionalClaims for ExtraClaims {}

type Fields = IdTokenFields<
    ExtraClaims,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;
type Tokens = StandardTokenResponse<Fields, CoreTokenType>;
type OidcClient = Client<
    ExtraClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// The settings, if a provider is configured.
///
/// # Errors
/// What is missing or invalid.
pub fn settings(oidc: &Oidc) -> Result<Option<(IssuerUrl, ClientId, Option<ClientSecret>)>, String> {
    let Some(issuer) = &oidc.issuer else { return Ok(None) };
    let url = Url::parse(issuer).map_err(|error| format!("BURSAR_OIDC_ISSUER is no address: {error}"))?;
    if url.scheme() != "https" && !is_here(&url) {
        return Err("BURSAR_OIDC_ISSUER must be an https address: what it signs is believed".to_owned());
    }
    if let Some(message) = open_to_the_world(&url, &oidc.require) {
        return Err(message);
    }
    let issuer = IssuerUrl::new(issuer.clone()).map_err(|error| format!("BURSAR_OIDC_ISSUER: {error}"))?;
    let Some(id) = &oidc.client_id else {
        return Err("BURSAR_OIDC_CLIENT_ID is missing: what the provider calls this Bursar".to_owned());
    };
    if oidc.role_claim.is_some() == oidc.roles.is_empty() {
        let message = "BURSAR_OIDC_ROLE_CLAIM and BURSAR_OIDC_ROLES go together: the claim, and what its values stand for";
        return Err(message.to_owned());
    }
    if oidc.make_logins && oidc.role_claim.is_none() {
        return Err(
            "BURSAR_OIDC_MAKE_LOGINS needs BURSAR_OIDC_ROLE_CLAIM: a login is made with a role".to_owned()
        );
    }
    let secret = oidc.client_secret.as_ref().map(|secret| secret.trim().to_owned());
    Ok(Some((issuer, ClientId::new(id.clone()), secret.map(ClientSecret::new))))
}

/// Issuers where anybody has, or can create, an account.
const OF_THE_WORLD: [&str; 8] = [
    "gitlab.com",
    "appleid.apple.com",
    "www.facebook.com",
    "www.linkedin.com",
    "api.login.yahoo.com",
    "slack.com",
    "id.twitch.tv",
    "www.paypal.com",
];
/// Microsoft's tenant id for personal accounts.
const PRIVATE_ACCOUNTS: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// The error if a public issuer has no required claim that identifies a company's own people. A verified email address
/// does not say whose people they are.
fn open_to_the_world(url: &Url, require: &[Required]) -> Option<String> {
    let host = url.host_str().unwrap_or_default();
    if host == "accounts.google.com" {
        let message = "BURSAR_OIDC_REQUIRE must name hd, such as hd=acme.example: everybody in the world has an account at Google";
        return require.iter().all(|one| one.claim != "hd").then(|| message.to_owned());
    }
    let private = host == "login.microsoftonline.com" && url.path().contains(PRIVATE_ACCOUNTS);
    let tells = |one: &Required| !matches!(one.claim.as_str(), "email" | "email_verified");
    let message = format!(
        "BURSAR_OIDC_REQUIRE is missing: anybody can have an account at {host}. Name a claim that holds of your own people alone"
    );
    ((private || OF_THE_WORLD.contains(&host)) && !require.iter().any(tells)).then_some(message)
}

/// Whether a URL points to this machine.
fn is_here(url: &Url) -> bool {
    matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

/// Accepts the metadata only if the endpoints we use are https, so that nobody on the way can read or answer requests.
fn checked(metadata: CoreProviderMetadata) -> Result<CoreProviderMetadata, String> {
    if is_here(metadata.issuer().url()) {
        return Ok(metadata);
    }
    let token = metadata.token_endpoint().map(|token| token.url());
    let all = [
        ("authorization_endpoint", Some(metadata.authorization_endpoint().url())),
        ("token_endpoint", token),
        ("jwks_uri", Some(metadata.jwks_uri().url())),
    ];
    let plain = all.into_iter().find(|(_, url)| url.is_some_and(|url| url.scheme() != "https"));
    match plain {
        Some((name, _)) => Err(format!(
            "its own document names an address that is not https ({name}): behind a proxy, tell it how people reach it"
        )),
        None => Ok(metadata),
    }
}

/// The provider URL to which the browser is sent; `again` forces reauthentication.
///
/// # Errors
/// If the provider does not answer or the settings are incomplete.
pub async fn address(work: &Work, sent: &AuthorizationRequest, again: bool) -> Result<Url, ProviderError> {
    let client = client(&work.app, known(work, KNOWN_US).await?)?;
    let verifier = PkceCodeVerifier::new(sent.verifier.clone());
    let (state, nonce) = (sent.state.clone(), sent.nonce.clone());
    let flow = CoreAuthenticationFlow::AuthorizationCode;
    let asked = client
        .authorize_url(flow, || CsrfToken::new(state), || Nonce::new(nonce))
        .add_scopes(work.app.config.oidc.scopes.split_whitespace().map(|one| Scope::new(one.to_owned())))
        .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
        .set_max_age(std::time::Duration::from_secs(if again { 0 } else { MAX_AGE_SECONDS }));
    let asked = if again { asked.add_prompt(CoreAuthPrompt::Login) } else { asked };
    Ok(asked.url().0)
}

/// For the operator: what is wrong at the provider. `None` without a provider, or if its metadata lists no claims.
pub async fn setup_problem(work: &Work) -> Option<String> {
    work.app.config.oidc.issuer.as_ref()?;
    let metadata = match known(work, KNOWN_US).await {
        Ok(metadata) => metadata,
        Err(ProviderError::Away(why) | ProviderError::Wrong(why) | ProviderError::Settings(why)) => {
            return Some(format!("the provider does not answer as it should: {why}"));
        }
        Err(ProviderError::Old) => return None,
    };
    let claims = metadata.claims_supported()?;
    let is_named = |name: &str| claims.iter().any(|claim| claim.as_str() == name);
    let missing: Vec<&str> = NEEDED.into_iter().filter(|name| !is_named(name)).collect();
    (!missing.is_empty()).then(|| {
        format!(
            "the provider does not say that it sends {}. Without email and email_verified nobody is linked; without auth_time nobody proves there who they are before money moves, and needs a password or a passkey here",
            missing.join(", ")
        )
    })
}

/// The claims sign-in depends on.
const NEEDED: [&str; 3] = ["email", "email_verified", "auth_time"];

/// Redeems the code and returns the verified claims of the person who came back with it.
///
/// # Errors
/// If the provider does not answer, or its response does not verify.
pub async fn believe(
    work: &Work,
    visit: &PendingSignIn,
    code: String,
) -> Result<IdentityClaims, ProviderError> {
    let app = &work.app;
    let first = client(app, known(work, KNOWN_US).await?)?;
    let http = work.clients.http().clone();
    let carry = |request: HttpRequest| carry(http.clone(), request);
    let request = first
        .exchange_code(AuthorizationCode::new(code))
        .map_err(|error| ProviderError::Away(format!("it names no address for tokens: {error}")))?
        .set_pkce_verifier(PkceCodeVerifier::new(visit.verifier.clone()));
    let tokens = request.request_async(&carry).await.map_err(|error| not_redeemed(&error))?;
    let signed = tokens.id_token().ok_or_else(|| ProviderError::Wrong("it sent no ID token".to_owned()))?;
    let now = app.clock.now();
    let nonce = Nonce::new(visit.nonce.clone());
    let claims = match signed.claims(&verifier(&first, now), &nonce) {
        Ok(claims) => claims,
        // They rotated the key, or the token is forged: refresh at most once a minute.
        Err(ClaimsVerificationError::SignatureVerification(why)) if may_be_new(&why) => {
            let second = client(app, known(work, LOOKED_US).await?)?;
            signed
                .claims(&verifier(&second, now), &nonce)
                .map_err(|error| ProviderError::Wrong(whole(&error)))?
        }
        Err(error) => return Err(ProviderError::Wrong(whole(&error))),
    };
    // Accept only a token issued to us.
    if claims.authorized_party().is_some_and(|party| party != first.client_id()) {
        return Err(ProviderError::Wrong("it was signed for another party (azp)".to_owned()));
    }
    let oldest = now - SKEW_US - i64::try_from(MAX_AGE_SECONDS).unwrap_or(i64::MAX) * 1_000_000;
    if claims.auth_time().is_some_and(|at| at.timestamp_micros() < oldest) {
        return Err(ProviderError::Old);
    }
    Ok(shown(&app.config.oidc, claims))
}

/// Whether a refreshed key set could verify the token: keys need no ids, and a new key may reuse an old id.
fn may_be_new(why: &SignatureVerificationError) -> bool {
    matches!(
        why,
        SignatureVerificationError::NoMatchingKey
            | SignatureVerificationError::AmbiguousKeyId(_)
            | SignatureVerificationError::CryptoError(_)
            | SignatureVerificationError::InvalidKey(_)
    )
}

/// Why no tokens were issued for a code. Only the provider's error code, or the path of a parse error, is reported: the
/// rest may contain a token or personal data.
fn not_redeemed(
    error: &RequestTokenError<Lost, StandardErrorResponse<CoreErrorResponseType>>,
) -> ProviderError {
    match error {
        RequestTokenError::Request(why) => ProviderError::Away(why.to_string()),
        RequestTokenError::ServerResponse(why) => {
            let code: String = why.error().as_ref().chars().filter(char::is_ascii_graphic).take(40).collect();
            ProviderError::Wrong(format!("it gives nothing for the code that came with the browser: {code}"))
        }
        RequestTokenError::Parse(why, _) => {
            ProviderError::Wrong(format!("its answer with the tokens cannot be read at {}", why.path()))
        }
        RequestTokenError::Other(why) => ProviderError::Wrong(why.clone()),
    }
}

/// The ID token verifier. Accepts asymmetric algorithms only: no shared-secret signatures, no unsigned tokens.
fn verifier(client: &OidcClient, now: i64) -> openidconnect::IdTokenVerifier<'_, CoreJsonWebKey> {
    let at = |us: i64| chrono::DateTime::from_timestamp_micros(us).unwrap_or_default();
    let issued = move |issued: chrono::DateTime<chrono::Utc>| match issued > at(now + SKEW_US) {
        true => Err(format!("it was issued at {issued}, which is to come")),
        false => Ok(()),
    };
    client
        .id_token_verifier()
        .set_allowed_algs([
            CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
            CoreJwsSigningAlgorithm::RsaSsaPssSha256,
            CoreJwsSigningAlgorithm::EcdsaP256Sha256,
            CoreJwsSigningAlgorithm::EcdsaP384Sha384,
            CoreJwsSigningAlgorithm::EdDsa,
        ])
        .set_time_fn(move || at(now))
        .set_issue_time_verifier_fn(issued)
}

fn shown(oidc: &Oidc, claims: &IdTokenClaims<ExtraClaims, CoreGenderClaim>) -> IdentityClaims {
    let name = claims.name().and_then(|name| name.get(None)).map(|name| name.as_str().to_owned());
    // Includes the standard claims: `email_verified` or `acr` may be required.
    let all = match serde_json::to_value(claims) {
        Ok(Value::Object(all)) => all,
        Ok(_) | Err(_) => Map::new(),
    };
    let holds = |one: &&Required| values(&all, &one.claim).contains(&one.value);
    let lacks = oidc.require.iter().find(|one| !holds(one));
    IdentityClaims {
        issuer: claims.issuer().as_str().to_owned(),
        subject: claims.subject().as_str().to_owned(),
        email: claims.email().map(|email| email.as_str().to_owned()),
        email_is_verified: claims.email_verified() == Some(true),
        name,
        roles: oidc.role_claim.as_deref().map(|claim| values(&all, claim)).unwrap_or_default(),
        lacks: lacks.map(|one| one.claim.clone()),
        proved_at: claims.auth_time().map(|at| at.timestamp_micros()),
    }
}

/// The values of a claim: a string, a number, a boolean, a list of strings, or one of these inside nested objects,
/// addressed with dots.
fn values(claims: &Map<String, Value>, claim: &str) -> Vec<String> {
    let found = claims.get(claim).or_else(|| {
        let (first, rest) = claim.split_once('.')?;
        rest.split('.').try_fold(claims.get(first)?, |within, name| within.get(name))
    });
    match found {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::Bool(one)) => vec![one.to_string()],
        Some(Value::Number(one)) => vec![one.to_string()],
        Some(Value::Null | Value::Object(_)) | None => Vec::new(),
    }
}

/// The provider's metadata, fetched again if it is older than `fresh_us`.
async fn known(work: &Work, fresh_us: i64) -> Result<CoreProviderMetadata, ProviderError> {
    let now = work.app.clock.now();
    let (issuer, ..) = settings(&work.app.config.oidc)
        .map_err(ProviderError::Settings)?
        .ok_or_else(|| ProviderError::Settings("BURSAR_OIDC_ISSUER is not set".to_owned()))?;
    let known = &work.provider;
    if let Some(goes) = known.last().goes(now, fresh_us) {
        return goes;
    }
    let _permit = known.0.asking.lock().await;
    // Another task fetched it while this one waited.
    if let Some(goes) = known.last().goes(work.app.clock.now(), fresh_us) {
        return goes;
    }
    let http = work.clients.http().clone();
    let carry = |request: HttpRequest| carry(http.clone(), request);
    let heard = CoreProviderMetadata::discover_async(issuer, &carry).await.map_err(|error| whole(&error));
    let now = work.app.clock.now();
    match heard.and_then(checked) {
        Ok(metadata) => {
            known.note(|last| *last = Last { metadata: Some((now, metadata.clone())), failed: None });
            Ok(metadata)
        }
        Err(why) => {
            known.note(|last| last.failed = Some((now, why.clone())));
            known.last().goes(now, fresh_us).unwrap_or(Err(ProviderError::Away(why)))
        }
    }
}

fn client(app: &App, metadata: CoreProviderMetadata) -> Result<OidcClient, ProviderError> {
    let (_, id, secret) = settings(&app.config.oidc)
        .map_err(ProviderError::Settings)?
        .ok_or_else(|| ProviderError::Settings("BURSAR_OIDC_ISSUER is not set".to_owned()))?;
    let back = RedirectUrl::new(format!("{}{BACK}", app.base_url))
        .map_err(|error| ProviderError::Settings(format!("BURSAR_BASE_URL is no address: {error}")))?;
    let takes = metadata.token_endpoint_auth_methods_supported();
    let in_body = takes.is_some_and(|takes| {
        takes.contains(&CoreClientAuthMethod::ClientSecretPost)
            && !takes.contains(&CoreClientAuthMethod::ClientSecretBasic)
    });
    let way = if in_body { AuthType::RequestBody } else { AuthType::BasicAuth };
    Ok(OidcClient::from_provider_metadata(metadata, id, secret).set_auth_type(way).set_redirect_uri(back))
}

#[derive(Debug)]
struct Lost(String);

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Lost {}

/// Sends the library's requests through our HTTP client, with its timeouts and limits.
async fn carry(http: Http, asked: HttpRequest) -> Result<HttpResponse, Lost> {
    let (head, body) = asked.into_parts();
    let url = Url::parse(&head.uri.to_string()).map_err(|error| Lost(error.to_string()))?;
    let mut headers = Vec::new();
    for (name, value) in &head.headers {
        headers.push((name.clone(), value.clone()));
    }
    match http.send(Request { method: head.method, url, headers, body }).await {
        Answer::Got(received) => {
            let mut answer = HttpResponse::new(received.body);
            *answer.status_mut() = openidconnect::http::StatusCode::from_u16(received.status)
                .map_err(|error| Lost(error.to_string()))?;
            *answer.headers_mut() = received.headers;
            Ok(answer)
        }
        Answer::NotSent(why) | Answer::Lost(why) => Err(Lost(why)),
    }
}

/// An error with its whole chain of causes.
fn whole(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut within = error.source();
    while let Some(cause) = within {
        message = format!("{message}: {cause}");
        within = cause.source();
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_claim_is_a_text_a_list_or_lies_within_others() {
        let claims = json!({
            "role": "payer", "groups": ["a", "b", 3], "realm_access": { "roles": ["x"] }, "https://a.b/c": ["y"],
            "count": 3,
        });
        let claims = claims.as_object().unwrap();
        let of = |claim: &str| values(claims, claim).join(" ");
        let rows = [
            ("role", "payer"),
            ("groups", "a b"),
            ("realm_access.roles", "x"),
            ("https://a.b/c", "y"),
            ("count", "3"),
            ("realm_access", ""),
            ("realm_access.none", ""),
            ("none.at.all", ""),
        ];
        for (claim, message) in rows {
            assert_eq!(of(claim), message, "{claim}");
        }
    }

    #[test]
    fn settings_are_whole_or_say_what_is_missing() {
        let base = Oidc {
            issuer: Some("https://login.example.com".to_owned()),
            client_id: Some("bursar".to_owned()),
            ..Oidc::default()
        };
        assert!(settings(&Oidc::default()).unwrap().is_none());
        assert!(settings(&base).unwrap().is_some());
        let http = |issuer: &str| Oidc { issuer: Some(issuer.to_owned()), ..base.clone() };
        assert!(settings(&http("http://127.0.0.1:9")).unwrap().is_some(), "a stand-in on this machine");
        let roles = vec!["it=admin".parse().unwrap()];
        let requires =
            |issuer: &str, claim: &str| Oidc { require: vec![claim.parse().unwrap()], ..http(issuer) };
        let rows = [
            (http("http://login.example.com"), "must be an https address"),
            (http("login"), "is no address"),
            (http("https://accounts.google.com"), "must name hd"),
            (requires("https://accounts.google.com", "email_verified=true"), "must name hd"),
            (http("https://gitlab.com"), "BURSAR_OIDC_REQUIRE is missing"),
            (requires("https://gitlab.com", "email_verified=true"), "BURSAR_OIDC_REQUIRE is missing"),
            (
                http("https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"),
                "BURSAR_OIDC_REQUIRE is missing",
            ),
            (Oidc { client_id: None, ..base.clone() }, "BURSAR_OIDC_CLIENT_ID is missing"),
            (Oidc { role_claim: Some("groups".to_owned()), ..base.clone() }, "go together"),
            (Oidc { roles, ..base.clone() }, "go together"),
            (Oidc { make_logins: true, ..base.clone() }, "needs BURSAR_OIDC_ROLE_CLAIM"),
        ];
        for (oidc, message) in rows {
            let refused = settings(&oidc).unwrap_err();
            assert!(refused.contains(message), "{refused}");
        }
        assert!(settings(&requires("https://accounts.google.com", "hd=acme.example")).unwrap().is_some());
        assert!(settings(&requires("https://gitlab.com", "groups_direct=acme")).unwrap().is_some());
        assert!(settings(&http("https://login.microsoftonline.com/a-tenant/v2.0")).unwrap().is_some());
    }

    fn document(issuer: &str, other: &str) -> CoreProviderMetadata {
        let at = |path: &str, of: &str| {
            if path == of { format!("http://plain.example/{path}") } else { format!("{issuer}/{path}") }
        };
        let text = json!({
            "issuer": issuer, "authorization_endpoint": at("a", other), "token_endpoint": at("t", other),
            "jwks_uri": at("k", other), "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn no_address_of_the_provider_is_plain() {
        let issuer = "https://login.example.com";
        assert!(checked(document(issuer, "")).is_ok());
        for (of, name) in [("a", "authorization_endpoint"), ("t", "token_endpoint"), ("k", "jwks_uri")] {
            let refused = checked(document(issuer, of)).unwrap_err();
            assert!(refused.contains(name), "{refused}");
        }
        assert!(checked(document("http://127.0.0.1:9", "t")).is_ok(), "a stand-in on this machine");
    }

    #[test]
    fn what_was_known_goes_while_the_provider_is_away_and_nobody_asks_at_once_again() {
        let said = |at| Some((at, document("https://login.example.com", "")));
        let failed = |at| Some((at, "it does not answer".to_owned()));
        let goes =
            |said, failed, now| Last { metadata: said, failed }.goes(now, KNOWN_US).map(|goes| goes.is_ok());
        assert_eq!(goes(None, None, 0), None, "nobody was asked");
        assert_eq!(goes(said(0), None, KNOWN_US - 1), Some(true));
        assert_eq!(goes(said(0), None, KNOWN_US), None, "asked again");
        assert_eq!(goes(said(5), None, 0), None, "the clock was set back");
        let now = KNOWN_US + 7;
        assert_eq!(goes(said(0), failed(now), now), Some(true), "what was known goes on");
        assert_eq!(goes(said(0), failed(now), now + PAUSE_US), None);
        assert_eq!(goes(said(0), failed(KEPT_US), KEPT_US), Some(false), "for a day");
        assert_eq!(goes(None, failed(0), 1), Some(false), "not asked again at once");
    }
}

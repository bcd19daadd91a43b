//! A simulated OpenID Connect provider that signs real tokens, and browsers that go there and come back.

use std::sync::{Arc, LazyLock, Mutex};

use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bursar::ops::people;
use payout::access::Role;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256};
use rsa::pkcs1::EncodeRsaPrivateKey as _;
use rsa::traits::PublicKeyParts as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::pages::{Browser, Page};
use crate::world::World;

/// Two keys of realistic size; generated once.
static RSA: LazyLock<[rsa::RsaPrivateKey; 2]> = LazyLock::new(|| {
    let mut chance = rsa::rand_core::OsRng;
    [(); 2].map(|()| rsa::RsaPrivateKey::new(&mut chance, 2048).unwrap())
});
static EC: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let chance = ring::rand::SystemRandom::new();
    EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &chance).unwrap().as_ref().to_vec()
});

/// How the provider signs its tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Signing {
    #[default]
    Rs256,
    Es256,
    /// With an unpublished key, under the ID of a published one.
    ForeignKey,
    /// With the shared client secret.
    Hs256,
    /// Unsigned (`alg` is `none`).
    None,
}

/// Its next responses, and the requests it received.
#[derive(Default)]
pub struct Said {
    /// Overrides of the usual claims; null removes one.
    pub claims: Value,
    pub signing: Signing,
    /// Whether the signed content is changed afterwards.
    pub tampered: bool,
    /// Whether it returns an error instead of tokens.
    pub refuses: bool,
    /// Whether it publishes another key than before.
    pub rotated: bool,
    /// Whether its tokens omit the key ID.
    pub nameless: bool,
    pub away: bool,
    /// The claims it lists as supported; null if it lists none.
    pub sends: Value,
    /// Whether it reports a different issuer.
    pub poses: bool,
    challenge: String,
    nonce: String,
    redeemed: usize,
    looked: usize,
    asked: Vec<(String, String)>,
}

/// A small provider on this machine.
#[derive(Clone)]
pub struct Played {
    pub issuer: String,
    said: Arc<Mutex<Said>>,
}

pub const SECRET: &str = "a secret that both know";

impl Played {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let played = Self { issuer, said: Arc::default() };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(configuration))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .with_state(played.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        played
    }

    pub fn say(&self, claims: Value) {
        self.said.lock().unwrap().claims = claims;
    }

    pub fn set(&self, change: impl FnOnce(&mut Said)) {
        change(&mut self.said.lock().unwrap());
    }

    /// How often its metadata was requested.
    pub fn looked(&self) -> usize {
        self.said.lock().unwrap().looked
    }

    pub fn redeemed(&self) -> usize {
        self.said.lock().unwrap().redeemed
    }
}

async fn configuration(State(played): State<Played>) -> Response {
    played.said.lock().unwrap().looked += 1;
    if played.said.lock().unwrap().away {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let at = |path: &str| format!("{}{path}", played.issuer);
    let sends = played.said.lock().unwrap().sends.clone();
    let poses = played.said.lock().unwrap().poses;
    let mut document = json!({
        "issuer": if poses { "https://login.example.com" } else { &played.issuer }, "authorization_endpoint": at("/authorize"), "token_endpoint": at("/token"),
        "jwks_uri": at("/keys"), "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256", "HS256"],
    });
    if sends.is_array() {
        document["claims_supported"] = sends;
    }
    Json(document).into_response()
}

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

async fn keys(State(played): State<Played>) -> Json<Value> {
    let rotated = usize::from(played.said.lock().unwrap().rotated);
    let rsa = &RSA[rotated];
    let ec =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &EC, &ring::rand::SystemRandom::new());
    let ec = ec.unwrap();
    let point = ec.public_key().as_ref();
    Json(json!({ "keys": [
        { "kty": "RSA", "use": "sig", "alg": "RS256", "kid": format!("rsa-{rotated}"),
          "n": base64url(&rsa.n().to_bytes_be()), "e": base64url(&rsa.e().to_bytes_be()) },
        { "kty": "EC", "use": "sig", "alg": "ES256", "kid": "ec", "crv": "P-256",
          "x": base64url(&point[1..33]), "y": base64url(&point[33..]) },
    ] }))
}

/// Redeems a code for a signed token, if the client secret and PKCE verifier are right.
async fn token(
    State(played): State<Played>,
    headers: HeaderMap,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    let mut said = played.said.lock().unwrap();
    said.redeemed += 1;
    said.asked = fields;
    let field = |name: &str| {
        let found = said.asked.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let shared = format!("Basic {}", STANDARD.encode(format!("bursar:{}", SECRET.replace(' ', "+"))));
    let known = headers.get("authorization").is_some_and(|sent| sent.to_str().unwrap() == shared);
    let proven = base64url(&Sha256::digest(field("code_verifier"))) == said.challenge;
    if said.refuses || !known || !proven || field("code") != "a-code" {
        return (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_grant"}))).into_response();
    }
    let signed = signed(&played.issuer, &said);
    let answer = json!({"access_token": "none of ours", "token_type": "Bearer", "id_token": signed});
    Json(answer).into_response()
}

fn signed(issuer: &str, said: &Said) -> String {
    // The world's clock, passed in with the claims.
    let now = said.claims["now"].as_i64().unwrap();
    let mut claims = json!({
        "iss": issuer, "aud": "bursar", "sub": "u-1", "iat": now, "exp": now + 300, "auth_time": now - 5,
        "nonce": said.nonce, "email": "kim@example.com", "email_verified": true, "name": "Kim Oh",
    });
    for (name, value) in said.claims.as_object().unwrap().iter().filter(|(name, _)| *name != "now") {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    let rotated = usize::from(said.rotated);
    let (alg, kid) = match said.signing {
        Signing::Rs256 | Signing::ForeignKey => ("RS256", format!("rsa-{rotated}")),
        Signing::Es256 => ("ES256", "ec".to_owned()),
        Signing::Hs256 => ("HS256", "none".to_owned()),
        Signing::None => ("none", "none".to_owned()),
    };
    let head = match said.nameless {
        true => json!({"alg": alg, "typ": "JWT"}),
        false => json!({"alg": alg, "kid": kid, "typ": "JWT"}),
    };
    let head = base64url(head.to_string().as_bytes());
    let text = format!("{head}.{}", base64url(claims.to_string().as_bytes()));
    let chance = ring::rand::SystemRandom::new();
    let with_rsa = |key: usize| {
        let pair =
            ring::signature::RsaKeyPair::from_der(RSA[key].to_pkcs1_der().unwrap().as_bytes()).unwrap();
        let mut signature = vec![0; pair.public().modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &chance, text.as_bytes(), &mut signature).unwrap();
        signature
    };
    let signature = match said.signing {
        Signing::Rs256 => with_rsa(rotated),
        Signing::ForeignKey => with_rsa(1 - rotated),
        Signing::Es256 => {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &EC, &chance).unwrap();
            pair.sign(&chance, text.as_bytes()).unwrap().as_ref().to_vec()
        }
        Signing::Hs256 => {
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
            ring::hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
        }
        Signing::None => Vec::new(),
    };
    if said.tampered {
        let other = claims.to_string().replace("u-1", "u-2");
        return format!("{head}.{}.{}", base64url(other.as_bytes()), base64url(&signature));
    }
    format!("{text}.{}", base64url(&signature))
}

/// A world with single sign-on, and additional settings.
pub async fn world(name: &str, seed: u64, more: &[(&str, &str)]) -> (World, Played) {
    let played = Played::start().await;
    let base = [
        ("oidc-issuer", played.issuer.as_str()),
        ("oidc-client-id", "bursar"),
        ("oidc-client-secret", SECRET),
        ("oidc-name", "Acme"),
    ];
    let world = World::open_with(name, seed, &[&base[..], more].concat()).await;
    (world, played)
}

pub fn part(address: &str, name: &str) -> String {
    let url = url::Url::parse(address).unwrap();
    let found = url.query_pairs().find(|(known, _)| known == name);
    found.map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// Goes to the provider and returns the callback URL it redirects to.
pub async fn sent(world: &World, played: &Played, browser: &mut Browser, ask: &str) -> String {
    let there = browser.get(&format!("/login/provider{ask}")).await;
    assert_eq!(there.status, StatusCode::SEE_OTHER, "{}", there.body);
    assert!(there.to.starts_with(&format!("{}/authorize?", played.issuer)), "{}", there.to);
    let now = world.now() / 1_000_000;
    played.set(|said| {
        said.challenge = part(&there.to, "code_challenge");
        said.nonce = part(&there.to, "nonce");
        if said.claims.is_null() {
            said.claims = json!({});
        }
        said.claims["now"] = json!(now);
    });
    format!("/login/provider/back?code=a-code&state={}", part(&there.to, "state"))
}

pub async fn comes(world: &World, played: &Played, browser: &mut Browser) -> Page {
    let back = sent(world, played, browser, "?next=/rewards").await;
    browser.get(&back).await
}

pub async fn kim(world: &World, role: Role) -> people::NewPerson {
    let new = people::NewPerson {
        email: "kim@example.com".to_owned(),
        name: "Kim".to_owned(),
        role,
        partner: None,
        password: Some(crate::pages::PASSWORD.to_owned()),
    };
    people::add(&world.app, &new).await.unwrap();
    new
}

pub async fn actions(world: &World) -> Vec<String> {
    let mut db = world.app.store.read().await.unwrap();
    let rows = bursar::store::audit::list(&mut db, &Default::default(), 100).await.unwrap();
    rows.into_iter().map(|row| row.action).collect()
}

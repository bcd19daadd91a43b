//! An honest user: a browser with cookies that signs in, does a step-up, and pays what its payout shows. Not here: the
//! attackers (`strangers`).

use std::net::SocketAddr;

use crate::Failure;
use crate::load::{Answer, Connection, request};

#[derive(Clone)]
pub struct Visitor {
    at: SocketAddr,
    cookies: Vec<(String, String)>,
    email: String,
    password: String,
}

impl Visitor {
    /// A browser without cookies, for this login.
    pub fn new(at: SocketAddr, email: &str, password: &str) -> Self {
        Self { at, cookies: Vec::new(), email: email.to_owned(), password: password.to_owned() }
    }

    /// Signs in with the password.
    ///
    /// # Errors
    /// The response is not a successful sign-in.
    pub async fn sign_in(&mut self) -> Result<(), Failure> {
        let fields =
            [("email", self.email.clone()), ("password", self.password.clone()), ("next", "/me".to_owned())];
        let answer = self.post("/login", &fields).await?;
        leads("signing in", &answer, "/me")
    }

    /// Enters the password again for a step-up.
    ///
    /// # Errors
    /// The password is not accepted.
    pub async fn prove(&mut self) -> Result<(), Failure> {
        let page = self.get("/prove?next=/me").await?;
        let fields = [
            ("csrf", first(&page, "csrf")?),
            ("next", "/me".to_owned()),
            ("password", self.password.clone()),
        ];
        let answer = self.post("/prove", &fields).await?;
        leads("proving again who it is", &answer, "/me")
    }

    /// Pays a payout as shown on its page, sending what a browser would.
    ///
    /// # Errors
    /// The payment is not made.
    pub async fn pay(&mut self, number: &str) -> Result<(), Failure> {
        let path = format!("/claims/{number}/pay");
        let page = self.get(&path).await?;
        let mut fields = vec![("checked", "yes".to_owned()), ("password", self.password.clone())];
        for name in ["csrf", "once", "digest"] {
            fields.push((name, first(&page, name)?));
        }
        fields.extend(hidden(&page, "total").into_iter().map(|total| ("total", total)));
        let answer = self.post(&path, &fields).await?;
        leads("paying", &answer, &path)
    }

    async fn get(&mut self, path: &str) -> Result<String, Failure> {
        let cookies = self.cookie();
        let answer = self.send(request("GET", path, &[("cookie", &cookies)], b"")).await?;
        match answer.status {
            200 => Ok(String::from_utf8(answer.body)?),
            status => Err(format!("{path} was answered {status}").into()),
        }
    }

    async fn post(&mut self, path: &str, fields: &[(&str, String)]) -> Result<Answer, Failure> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        fields.iter().for_each(|(name, value)| {
            form.append_pair(name, value);
        });
        let headers = [("cookie", &*self.cookie()), ("content-type", "application/x-www-form-urlencoded")];
        self.send(request("POST", path, &headers, form.finish().as_bytes())).await
    }

    async fn send(&mut self, request: Vec<u8>) -> Result<Answer, Failure> {
        let answer = Connection::open(self.at).await?.ask(&request).await?;
        for set in answer.headers("set-cookie") {
            let pair = set.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.cookies.retain(|(known, _)| known != name);
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        Ok(answer)
    }

    fn cookie(&self) -> String {
        let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }
}

fn leads(deed: &str, answer: &Answer, to: &str) -> Result<(), Failure> {
    let led = answer.headers("location").next().unwrap_or_default();
    match (answer.status, led == to) {
        (303, true) => Ok(()),
        (status, _) => Err(format!("{deed} was answered {status}, and led to {led:?}").into()),
    }
}

fn first(page: &str, name: &str) -> Result<String, Failure> {
    hidden(page, name).into_iter().next().ok_or_else(|| format!("the page has no field {name}").into())
}

/// The values of all hidden fields with this name.
fn hidden(page: &str, name: &str) -> Vec<String> {
    let opening = format!("name=\"{name}\" value=\"");
    let parts = page.split(&opening).skip(1);
    parts.map(|rest| rest.split('"').next().unwrap_or_default().replace("&#38;", "&")).collect()
}

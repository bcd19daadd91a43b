//! A browser that presses buttons: headless Chromium behind its own driver, spoken to in W3C WebDriver over loopback, by
//! mouse or by keyboard alone, with or without scripts. What is deliberately not here: what is pressed.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::need;

const DRIVERS: [&str; 2] = ["/usr/bin/chromedriver", "/usr/local/bin/chromedriver"];
/// What WebDriver calls an element's id.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// The keys of WebDriver that have no letter.
const TAB: char = '\u{E004}';
const ENTER: char = '\u{E007}';
/// Longer than a browser takes for anything.
const PATIENCE: Duration = Duration::from_secs(90);
/// More stops than any page has.
const MOST_STOPS: usize = 400;

/// One browser with one window.
pub struct Driven {
    driver: Child,
    host: String,
    session: String,
}

impl Driven {
    /// A browser of this width in CSS pixels; `None` after saying that there is none.
    pub async fn open(browser: &str, width: u32) -> Option<Self> {
        let Some(program) = DRIVERS.into_iter().find(|path| Path::new(path).exists()) else {
            need::absent("browser", "there is no chromedriver");
            return None;
        };
        let (driver, port) = started(program);
        let host = format!("127.0.0.1:{port}");
        let options = json!({
            "binary": browser,
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"],
            "mobileEmulation": {"deviceMetrics": {"width": width, "height": 900, "pixelRatio": 1, "mobile": false}},
        });
        // Elements are waited for, because a click does not wait for the page it leads to.
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": options, "timeouts": {"implicit": 5_000, "script": 60_000}}}});
        let mut driven = Self { driver, host, session: "/session".to_owned() };
        let begun = driven.call("POST", "", &wanted).await;
        driven.session = format!("/session/{}", begun["sessionId"].as_str().unwrap());
        Some(driven)
    }

    async fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = tokio::time::timeout(PATIENCE, self.exchange(method, path, body)).await;
        answer.unwrap_or_else(|_| panic!("the browser does not answer: {method} {path}"))
    }

    async fn exchange(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let head = format!(
            "{method} {}{path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            self.session,
            self.host,
            body.len()
        );
        let mut stream = TcpStream::connect(&self.host).await.unwrap();
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        // The driver says how long its answer is, and leaves the connection open.
        let mut stream = tokio::io::BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        while stream.read_line(&mut line).await.unwrap() > 2 {
            if let Some(told) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = told.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).await.unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let mut answer: Value = serde_json::from_str(&text).unwrap();
        assert!(answer["value"]["error"].is_null(), "{method} {path}: {text}");
        answer["value"].take()
    }

    /// Goes to an address.
    pub async fn go(&self, address: &str) {
        self.call("POST", "/url", &json!({ "url": address })).await;
    }

    /// Where it is.
    pub async fn at(&self) -> String {
        self.call("GET", "/url", &Value::Null).await.as_str().unwrap().to_owned()
    }

    /// Presses the button or link with these words.
    pub async fn press(&self, words: &str) {
        self.click(&format!("//*[self::a or self::button or self::summary][normalize-space()='{words}']"))
            .await;
    }

    /// The same for the first button whose words begin so.
    pub async fn press_what_begins(&self, words: &str) {
        self.click(&format!("//button[not(@disabled)][starts-with(normalize-space(), '{words}')]")).await;
    }

    /// From here on the browser plays a device that keeps passkeys and knows its owner's finger.
    pub async fn with_passkeys(&self) {
        let device = json!({"protocol": "ctap2", "transport": "internal", "hasResidentKey": true,
            "hasUserVerification": true, "isUserConsenting": true, "isUserVerified": true});
        self.call("POST", "/webauthn/authenticator", &device).await;
    }

    /// Types into the field with this id, whatever stood there before.
    pub async fn write(&self, field: &str, text: &str) {
        let found = json!({"using": "css selector", "value": format!("#{field}")});
        let found = self.call("POST", "/element", &found).await;
        let id = found[ELEMENT].as_str().unwrap().to_owned();
        self.call("POST", &format!("/element/{id}/clear"), &json!({})).await;
        self.call("POST", &format!("/element/{id}/value"), &json!({ "text": text })).await;
    }

    /// Ticks the box, or chooses the button, with these words.
    pub async fn tick(&self, words: &str) {
        let box_of = format!(
            "//input[@aria-label='{words}'] | //label[contains(normalize-space(), '{words}')]/descendant::input"
        );
        self.click(&box_of).await;
    }

    async fn click(&self, path: &str) {
        let found = self.call("POST", "/element", &json!({"using": "xpath", "value": path})).await;
        let id = found[ELEMENT].as_str().unwrap().to_owned();
        // As a person scrolls to what he wants to press, when something that stays in place lies over it.
        let scroll = json!({"script": "arguments[0].scrollIntoView({block: 'center'})", "args": [found]});
        self.call("POST", "/execute/sync", &scroll).await;
        self.call("POST", &format!("/element/{id}/click"), &json!({})).await;
    }

    /// Types keys, one after the other.
    pub async fn keys(&self, keys: impl IntoIterator<Item = char>) {
        let each = keys.into_iter().flat_map(|key| {
            [
                json!({"type": "keyDown", "value": key.to_string()}),
                json!({"type": "keyUp", "value": key.to_string()}),
            ]
        });
        let actions =
            json!({"actions": [{"type": "key", "id": "keys", "actions": each.collect::<Vec<_>>()}]});
        self.call("POST", "/actions", &actions).await;
    }

    /// Goes by the Tab key to what has such words, and sees that the focus can be seen there.
    async fn reach(&self, words: &str, is: impl Fn(&str) -> bool) {
        const HERE: &str = "const at = document.activeElement; const words = at.getAttribute('aria-label') \
            || at.labels?.[0]?.innerText || at.innerText || ''; \
            return [at.matches(':focus-visible'), words.trim().replace(/\\s+/g, ' ')]";
        for _ in 0..MOST_STOPS {
            self.keys([TAB]).await;
            let here = self.ask(HERE).await;
            if is(here[1].as_str().unwrap()) {
                assert_eq!(here[0], true, "the focus on {words:?} cannot be seen");
                return;
            }
        }
        panic!("no key leads to {words:?} on {}:\n{}", self.at().await, self.words().await);
    }

    /// The same as [`Driven::press`], by keyboard.
    pub async fn press_by_key(&self, words: &str) {
        self.reach(words, |here| here == words).await;
        self.keys([ENTER]).await;
    }

    /// The same as [`Driven::tick`], by keyboard.
    pub async fn tick_by_key(&self, words: &str) {
        self.reach(words, |here| here.contains(words)).await;
        self.keys([' ']).await;
    }

    /// From here on no page gets our script. Pages have no other; and a browser that runs none at all could not be asked
    /// what it shows.
    pub async fn without_scripts(&self) {
        self.devtools("Network.enable", json!({})).await;
        self.devtools("Network.setBlockedURLs", json!({"urls": ["*/assets/app.js*"]})).await;
    }

    /// Shows the page in this width of CSS pixels, light or dark, and without movement.
    pub async fn look(&self, width: u32, dark: bool) {
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({"features": [
            {"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// Asks what no page can be asked for.
    pub async fn devtools(&self, command: &str, told: Value) -> Value {
        self.call("POST", "/goog/cdp/execute", &json!({"cmd": command, "params": told})).await
    }

    /// What a script answers that takes its time: it is given `done` to call.
    pub async fn await_answer(&self, script: &str) -> Value {
        let script = format!("const done = arguments[0]; {script}");
        self.call("POST", "/execute/async", &json!({"script": script, "args": []})).await
    }

    /// What a script answers.
    pub async fn ask(&self, script: &str) -> Value {
        self.call("POST", "/execute/sync", &json!({"script": script, "args": []})).await
    }

    /// The words of the page, as they are seen.
    pub async fn words(&self) -> String {
        let words = self.ask("return document.body.innerText").await;
        words.as_str().unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The browser must come to this address.
    pub async fn comes_to(&self, address: &str) {
        for _ in 0..50 {
            if self.at().await == address {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(self.at().await, address, "{}", self.words().await);
    }

    /// The page must say this, now or when it has come: a click does not wait for the page it leads to.
    pub async fn says(&self, text: &str) {
        let mut words = self.words().await;
        for _ in 0..50 {
            if words.contains(text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            words = self.words().await;
        }
        assert!(words.contains(text), "{} does not say {text:?}:\n{words}", self.at().await);
    }

    /// Keeps a picture of the whole page, where `BURSAR_TEST_PICTURES` names a folder for it.
    pub async fn picture(&self, name: &str) {
        use base64::Engine as _;
        let Ok(folder) = std::env::var("BURSAR_TEST_PICTURES") else { return };
        let size = self.devtools("Page.getLayoutMetrics", json!({})).await;
        let width = self.ask("return window.innerWidth").await;
        let clip = json!({"x": 0, "y": 0, "scale": 1, "width": width,
            "height": size["cssContentSize"]["height"]});
        let told = json!({"captureBeyondViewport": true, "clip": clip});
        let taken = self.devtools("Page.captureScreenshot", told).await;
        let bytes =
            base64::engine::general_purpose::STANDARD.decode(taken["data"].as_str().unwrap()).unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), bytes).unwrap();
    }

    /// Closes it.
    pub async fn close(self) {
        self.call("DELETE", "", &Value::Null).await;
    }
}

/// A driver, and the port it listens on. Drivers that are begun in the same moment may choose the same port; whoever comes
/// second gives up at once and is begun again.
fn started(program: &str) -> (Child, String) {
    for _ in 0..10 {
        let mut driver = Command::new(program)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.map(Result::unwrap).find_map(|line| {
            let port = line.split("successfully on port ").nth(1)?;
            Some(port.trim_end_matches('.').to_owned())
        });
        match port {
            Some(port) => return (driver, port),
            None => driver.wait().unwrap(),
        };
    }
    panic!("{program} does not start");
}

impl Drop for Driven {
    /// A test that failed leaves no browser behind either: the driver, asked to stop, ends the browsers it began.
    fn drop(&mut self) {
        let stopped = Command::new("kill").arg(self.driver.id().to_string()).status();
        assert!(
            stopped.is_ok() && self.driver.wait().is_ok() || std::thread::panicking(),
            "the driver goes on"
        );
    }
}

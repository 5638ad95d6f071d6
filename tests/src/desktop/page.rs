//! What is in the window, named by the `data-testid`s that ui/README.md lists.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use fantoccini::actions::{InputSource as _, MouseActions, PointerAction};
use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::{Client, Locator};
use serde_json::{Value, json};

use super::driver::Driver;
use super::until;

/// How long the window may take for anything that needs no build.
const SOON: Duration = Duration::from_secs(90);

/// As long as a user takes to see what a button says: sooner, a click is taken for one on what stood there before.
const SEEN: Duration = Duration::from_millis(600);

/// Writes down each state that a row shows, however short.
const RECORD: &str = r#"
    const states = (window.labStates ??= {});
    const look = () => {
        for (const row of document.querySelectorAll('[data-testid=device-row]')) {
            const seen = (states[row.dataset.device] ??= []);
            if (seen.at(-1) !== row.dataset.state) seen.push(row.dataset.state);
        }
    };
    look();
    new MutationObserver(look).observe(document.body, {
        subtree: true, childList: true, attributes: true, attributeFilter: ['data-state'],
    });
"#;

/// Goes from the home to the devices, where the rows are.
const SHOW_ROWS: &str = r#"
    if (document.querySelector('[data-testid=home]')) {
        document.querySelector('[data-testid=open-devices]')?.click();
    }
"#;

/// The content of the application's window.
pub struct Page {
    driver: Driver,
    /// Each window is a process of its own, and needs a session of its own.
    client: Mutex<Client>,
}

impl Page {
    /// The content of the window that is there, or soon is.
    pub(super) async fn attach(driver: Driver) -> Result<Self> {
        let client = until("a window that can be driven", SOON, || driver.attach()).await?;
        Ok(Self { driver, client: Mutex::new(client) })
    }

    /// The WebDriver client, for what has no method here.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for an element and clicks it, as a person would: where it is, when nothing covers it.
    ///
    /// # Errors
    /// When it isn't there or can't be clicked in time.
    pub async fn click(&self, testid: &str) -> Result<()> {
        self.click_at(&selector(testid)).await
    }

    /// Clicks an element again and again until something has happened: for clicks that close the window, after
    /// which the driver can't say that they succeeded.
    ///
    /// # Errors
    /// When it hasn't happened in time.
    pub async fn click_until(
        &self,
        testid: &str,
        what: &str,
        happened: impl AsyncFn() -> Result<bool>,
    ) -> Result<()> {
        until(what, SOON, async || {
            if happened().await? {
                return Ok(());
            }
            let clicked =
                async { self.find(&selector(testid)).await?.click().await.map_err(words) };
            let outcome = clicked.await;
            ensure!(happened().await?, "clicked {testid}: {outcome:?}");
            Ok(())
        })
        .await
    }

    /// Clicks the primary action of a device's row, which must have this name.
    ///
    /// # Errors
    /// When there is no such row or action.
    pub async fn act(&self, device: &str, action: &str) -> Result<()> {
        let button = format!("{}[data-action={}]", selector("primary-action"), quoted(action));
        let button = format!("{} {button}", row(device));
        self.until_there(device).await?;
        self.until_shown_at(&button).await?;
        tokio::time::sleep(SEEN).await;
        self.click_at(&button).await
    }

    /// Opens a device's drawer.
    ///
    /// # Errors
    /// When there is no such row, or no drawer comes.
    pub async fn open_drawer(&self, device: &str) -> Result<()> {
        self.until_there(device).await?;
        self.click_at(&format!("{} {}", row(device), selector("open-details"))).await?;
        let drawer = format!("{}[data-device={}]", selector("drawer"), quoted(device));
        self.until_shown_at(&drawer).await
    }

    /// Waits until a device is listed.
    ///
    /// # Errors
    /// When it isn't in time.
    pub async fn until_there(&self, device: &str) -> Result<()> {
        until(&format!("{device} in the list"), SOON, async || {
            self.run(SHOW_ROWS, Vec::new()).await?;
            self.find(&row(device)).await.map(drop)
        })
        .await?;
        self.until_shown_at(&row(device)).await
    }

    /// Waits until a device's row shows a state.
    ///
    /// # Errors
    /// When it doesn't within `timeout`.
    pub async fn until_state(&self, device: &str, state: &str, timeout: Duration) -> Result<()> {
        self.until_row(device, "state", state, timeout).await
    }

    /// Waits until a device's row shows a presence.
    ///
    /// # Errors
    /// When it doesn't within `timeout`.
    pub async fn until_presence(&self, device: &str, presence: &str) -> Result<()> {
        self.until_row(device, "presence", presence, SOON).await
    }

    async fn until_row(&self, device: &str, what: &str, is: &str, timeout: Duration) -> Result<()> {
        let script = format!(
            "{SHOW_ROWS} return document.querySelector(arguments[0])?.dataset[arguments[1]]"
        );
        until(&format!("{device} has {what} {is}"), timeout, async || {
            let now = self.run(&script, vec![json!(row(device)), json!(what)]).await?;
            ensure!(now == is, "its {what} is {now}");
            Ok(())
        })
        .await
    }

    /// What a device's row says.
    ///
    /// # Errors
    /// When there is none.
    pub async fn row_text(&self, device: &str) -> Result<String> {
        self.text_at(&row(device)).await
    }

    /// Waits until an element can be seen.
    ///
    /// # Errors
    /// When it can't in time.
    pub async fn until_shown(&self, testid: &str) -> Result<()> {
        self.until_shown_at(&selector(testid)).await
    }

    /// Waits until there is no such element.
    ///
    /// # Errors
    /// When it is still there after a while.
    pub async fn until_gone(&self, testid: &str) -> Result<()> {
        until(&format!("{testid} is gone"), SOON, async || {
            ensure!(!self.exists(testid).await?, "it is there");
            Ok(())
        })
        .await
    }

    /// Waits until no animation runs.
    ///
    /// # Errors
    /// When one still runs after a while.
    pub async fn until_calm(&self) -> Result<()> {
        until("no animation runs", SOON, async || {
            let script = "return document.getAnimations().filter(
                (animation) => animation.effect.getComputedTiming().iterations !== Infinity).length";
            let running = self.run(script, Vec::new()).await?;
            ensure!(running == 0, "{running} animations run");
            Ok(())
        })
        .await
    }

    /// Waits until an element says a text.
    ///
    /// # Errors
    /// When it doesn't in time.
    pub async fn until_says(&self, testid: &str, text: &str) -> Result<()> {
        self.until_says_within(testid, text, SOON).await
    }

    /// [`Page::until_says`] with a timeout of its own.
    ///
    /// # Errors
    /// As there.
    pub async fn until_says_within(
        &self,
        testid: &str,
        text: &str,
        timeout: Duration,
    ) -> Result<()> {
        until(&format!("{testid} says {text:?}"), timeout, async || {
            let said = self.text(testid).await?;
            ensure!(said.contains(text), "it says {said:?}");
            Ok(())
        })
        .await
    }

    /// Whether an element exists now.
    ///
    /// # Errors
    /// When the window doesn't answer.
    pub async fn exists(&self, testid: &str) -> Result<bool> {
        let script = "return document.querySelector(arguments[0]) !== null";
        Ok(self.run(script, vec![json!(selector(testid))]).await? == true)
    }

    /// What the first element of a kind says.
    ///
    /// # Errors
    /// When there is none.
    pub async fn text(&self, testid: &str) -> Result<String> {
        self.text_at(&selector(testid)).await
    }

    /// An attribute of all elements of a kind, such as `data-state` of each `timeline-entry`.
    ///
    /// # Errors
    /// When the window doesn't answer.
    pub async fn attributes(&self, testid: &str, attribute: &str) -> Result<Vec<String>> {
        let script = "return [...document.querySelectorAll(arguments[0])]
            .map((found) => found.getAttribute(arguments[1]) ?? '')";
        let found = self.run(script, vec![json!(selector(testid)), json!(attribute)]).await?;
        Ok(serde_json::from_value(found)?)
    }

    /// Puts a text into a field, instead of what is there.
    ///
    /// # Errors
    /// When there is no such field.
    pub async fn fill(&self, testid: &str, text: &str) -> Result<()> {
        until(&format!("{testid} takes a text"), SOON, async || {
            let field = self.find(&selector(testid)).await?;
            field.clear().await.map_err(words)?;
            field.send_keys(text).await.map_err(words)?;
            let now = field.prop("value").await?;
            ensure!(now.as_deref() == Some(text), "it has {now:?}");
            Ok(())
        })
        .await
    }

    /// Presses keys, wherever the focus is. `fantoccini::key::Key` names the special ones.
    ///
    /// # Errors
    /// When the window doesn't answer.
    pub async fn press(&self, keys: &str) -> Result<()> {
        let focused = self.client().active_element().await.map_err(words)?;
        focused.send_keys(keys).await.map_err(words)
    }

    /// Begins to write down the states that rows show; see [`Page::recorded`].
    ///
    /// # Errors
    /// When the window doesn't answer.
    pub async fn record(&self) -> Result<()> {
        self.run(RECORD, Vec::new()).await.map(|_| ())
    }

    /// The states that a device's row has shown since [`Page::record`].
    ///
    /// # Errors
    /// When the window doesn't answer.
    pub async fn recorded(&self, device: &str) -> Result<Vec<String>> {
        let script = "return window.labStates?.[arguments[0]] ?? []";
        Ok(serde_json::from_value(self.run(script, vec![json!(device)]).await?)?)
    }

    /// Writes a picture of the content.
    ///
    /// # Errors
    /// When the file can't be written.
    pub async fn picture(&self, file: &Path) -> Result<()> {
        let picture = self.client().screenshot().await?;
        std::fs::write(file, picture).with_context(|| format!("cannot write {}", file.display()))
    }

    /// Goes on with the window that the application has made last; the one before is gone.
    ///
    /// # Errors
    /// When there is none.
    pub async fn follow_window(&self) -> Result<()> {
        let client = until("a window that can be driven", SOON, || self.driver.attach()).await?;
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = client;
        Ok(())
    }

    /// Clicks what a selector finds, such as a row's `secondary-action`.
    ///
    /// # Errors
    /// When it isn't there or can't be clicked in time.
    pub async fn click_at(&self, css: &str) -> Result<()> {
        until(&format!("{css} can be clicked"), SOON, async || {
            self.find(css).await?.click().await.map_err(words)
        })
        .await
    }

    /// Moves the pointer over what a selector finds, which shows what is there for a pointer only, and clicks
    /// something in it.
    ///
    /// # Errors
    /// When one of them isn't there or can't be clicked in time.
    pub async fn hover_and_click(&self, css: &str, testid: &str) -> Result<()> {
        until(&format!("{testid} in {css} can be clicked"), SOON, async || {
            let element = self.find(css).await?;
            let (duration, x, y) = (None, 0.0, 0.0);
            let pointer = MouseActions::new("pointer".to_owned());
            let to = PointerAction::MoveToElement { element, duration, x, y };
            self.client().perform_actions(pointer.then(to)).await.map_err(words)?;
            let inside = self.find(&format!("{css} {}", selector(testid))).await?;
            inside.click().await.map_err(words)
        })
        .await
    }

    async fn until_shown_at(&self, css: &str) -> Result<()> {
        until(&format!("{css} is shown"), SOON, async || {
            ensure!(self.find(css).await?.is_displayed().await.map_err(words)?, "it can't be seen");
            Ok(())
        })
        .await
    }

    /// As it is rendered. The driver's own question finds nothing in elements that `contain` their layout.
    async fn text_at(&self, css: &str) -> Result<String> {
        let script = "return document.querySelector(arguments[0])?.innerText ?? null";
        let text = self.run(script, vec![json!(css)]).await?;
        text.as_str().map(str::to_owned).with_context(|| format!("there is no {css}"))
    }

    async fn find(&self, css: &str) -> Result<Element> {
        self.client().find(Locator::Css(css)).await.map_err(words)
    }

    async fn run(&self, script: &str, arguments: Vec<Value>) -> Result<Value> {
        self.client().execute(script, arguments).await.map_err(words)
    }
}

fn selector(testid: &str) -> String {
    format!("[data-testid={}]", quoted(testid))
}

fn row(device: &str) -> String {
    format!("{}[data-device={}]", selector("device-row"), quoted(device))
}

/// A CSS string, which JSON's are where nothing needs an escape.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// WebKit's driver often has no message; the kind of error says more.
fn words(error: CmdError) -> anyhow::Error {
    if let CmdError::Standard(error) = &error {
        return anyhow!("{} {}", error.error, error.message);
    }
    error.into()
}

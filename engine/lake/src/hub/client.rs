//! HTTP with a hub: redirects followed by hand, so that the token goes to the hub alone;
//! what fails for the moment is repeated.

use std::error::Error as _;
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, LOCATION, RANGE, RETRY_AFTER};
use reqwest::{Client, Method, Response, StatusCode, redirect};
use url::Url;

use super::HubError;
use super::options::HubOptions;
use super::pull::{PullEvent, Watcher};

/// More redirects than that lead nowhere.
const MOST_REDIRECTS: usize = 10;
/// Repetitions of what failed for the moment, without progress in between.
const MOST_REPETITIONS: u32 = 5;
/// Repetitions when nobody answers at all.
const MOST_KNOCKS: u32 = 2;
/// The longest wait that a server is granted.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a server may be silent.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest list of files that is read, in bytes.
const LONGEST_ANSWER_BYTES: usize = 32 << 20;

/// A hub.
#[derive(Debug)]
pub(super) struct HubClient {
    http: Client,
    options: HubOptions,
}

/// How far redirects are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follow {
    /// Wherever they lead: the content may lie anywhere.
    Anywhere,
    /// To other addresses of the hub only: what its own answers say is wanted.
    WithinHub,
}

/// A request that can be repeated.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) follow: Follow,
    /// The first byte that is wanted.
    pub(super) from_byte: u64,
}

/// The answer of a server, whatever its status.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) response: Response,
    /// Headers of the hub's own answers, the first of each name: what it redirects to cannot
    /// replace them.
    pub(super) of_hub: HeaderMap,
}

/// Why an exchange brought nothing.
#[derive(Debug)]
pub(super) struct Failure {
    error: Box<HubError>,
    /// None where trying again does not help.
    again: Option<Again>,
}

/// How often trying again may help.
#[derive(Debug)]
struct Again {
    most: u32,
    /// How long the server wants to be left alone.
    wait: Option<Duration>,
}

impl Failure {
    /// What trying again does not mend.
    pub(super) fn lasting(error: HubError) -> Self {
        Self {
            error: Box::new(error),
            again: None,
        }
    }

    /// What may be over soon.
    pub(super) fn passing(error: HubError) -> Self {
        Self {
            error: Box::new(error),
            again: Some(Again {
                most: MOST_REPETITIONS,
                wait: None,
            }),
        }
    }
}

impl HubClient {
    pub(super) fn new(options: HubOptions) -> Result<Self, HubError> {
        let http = Client::builder()
            .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(SILENCE_TIMEOUT)
            .build()
            .map_err(|source| HubError::Client {
                reason: root_cause(&source),
            })?;
        Ok(Self { http, options })
    }

    /// The hub's address, without a slash at its end.
    pub(super) fn endpoint(&self) -> &str {
        self.options.endpoint.as_str().trim_end_matches('/')
    }

    /// Whether a token is shown to the hub.
    pub(super) fn has_token(&self) -> bool {
        self.options.token.is_some()
    }

    /// An address below the hub's; the parts may have any characters.
    pub(super) fn url<'a>(&self, parts: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.options.endpoint.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(parts);
        }
        url
    }

    /// Asks until there is an answer that is not for the moment only.
    pub(super) async fn ask(&self, ask: &Ask, watcher: &Watcher) -> Result<Answer, HubError> {
        let mut repetitions = 0;
        loop {
            match self.ask_once(ask).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => self.wait(failure, &mut repetitions, watcher).await?,
            }
        }
    }

    /// Waits before a repetition.
    ///
    /// # Errors
    /// What failed, when it has been repeated often enough or repeating does not help.
    pub(super) async fn wait(
        &self,
        failure: Failure,
        repetitions: &mut u32,
        watcher: &Watcher,
    ) -> Result<(), HubError> {
        let Failure { error, again } = failure;
        let Some(Again { most, wait }) = again else {
            return Err(*error);
        };
        if *repetitions >= most {
            return Err(*error);
        }
        let own = self.options.first_wait * 2_u32.saturating_pow(*repetitions);
        let wait = wait.unwrap_or(own).min(LONGEST_WAIT);
        *repetitions += 1;
        watcher(PullEvent::Repeating {
            reason: &error,
            wait,
        });
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// One exchange, redirects included.
    pub(super) async fn ask_once(&self, ask: &Ask) -> Result<Answer, Failure> {
        let mut url = ask.url.clone();
        let mut of_hub = HeaderMap::new();
        for _ in 0..=MOST_REDIRECTS {
            let is_hub = self.is_hub(&url);
            let mut request = self
                .http
                .request(ask.method.clone(), url.clone())
                .header(ACCEPT_ENCODING, "identity");
            if let (true, Some(token)) = (is_hub, &self.options.token) {
                request = request.header(AUTHORIZATION, token.header());
            }
            if ask.from_byte > 0 {
                request = request.header(RANGE, format!("bytes={}-", ask.from_byte));
            }
            let sent = request.send().await;
            let response = sent.map_err(|error| self.unanswered(&url, &error))?;
            if is_hub {
                for (name, value) in response.headers() {
                    of_hub.entry(name).or_insert_with(|| value.clone());
                }
            }
            let Some(next) = self.redirect(&url, &response)? else {
                return match is_passing(response.status()) {
                    true => Err(self.busy(&response)),
                    false => Ok(Answer { response, of_hub }),
                };
            };
            if ask.follow == Follow::WithinHub && !self.is_hub(&next) {
                return Ok(Answer { response, of_hub });
            }
            url = next;
        }
        Err(Failure::lasting(HubError::BadAnswer {
            endpoint: self.endpoint().to_owned(),
            reason: format!("it redirects more than {MOST_REDIRECTS} times"),
        }))
    }

    /// Where a response leads, if it leads elsewhere.
    fn redirect(&self, url: &Url, response: &Response) -> Result<Option<Url>, Failure> {
        if !response.status().is_redirection() {
            return Ok(None);
        }
        let Some(location) = response.headers().get(LOCATION) else {
            return Ok(None);
        };
        let next = location.to_str().ok().and_then(|to| url.join(to).ok());
        let bad = |reason: &str| {
            Failure::lasting(HubError::BadAnswer {
                endpoint: self.endpoint().to_owned(),
                reason: reason.to_owned(),
            })
        };
        match next {
            Some(next) if next.scheme() == "https" || next.scheme() == url.scheme() => {
                Ok(Some(next))
            }
            Some(next) => Err(bad(&format!(
                "it redirects from {} to {}, which is not safe",
                url.scheme(),
                next.scheme()
            ))),
            None => Err(bad("it redirects to what is no address")),
        }
    }

    /// Whether an address is one of the hub's own, by scheme, host and port.
    pub(super) fn is_hub(&self, url: &Url) -> bool {
        url.origin() == self.options.endpoint.origin()
    }

    /// The whole text of an answer.
    pub(super) async fn text(&self, mut response: Response) -> Result<Vec<u8>, Failure> {
        let url = response.url().clone();
        let mut text = Vec::new();
        while let Some(piece) = response
            .chunk()
            .await
            .map_err(|error| self.unanswered(&url, &error))?
        {
            if text.len() + piece.len() > LONGEST_ANSWER_BYTES {
                return Err(Failure::lasting(HubError::BadAnswer {
                    endpoint: self.endpoint().to_owned(),
                    reason: "its list of files is longer than 32 MiB".to_owned(),
                }));
            }
            text.extend_from_slice(&piece);
        }
        Ok(text)
    }

    /// What a connection that broke, or never came about, means.
    pub(super) fn unanswered(&self, url: &Url, error: &reqwest::Error) -> Failure {
        // Addresses that a hub redirects to may be signed: only the host is told.
        let host = url.host_str().unwrap_or_default().to_owned();
        let reason = root_cause(error);
        if error.is_builder() {
            return Failure::lasting(HubError::Client { reason });
        }
        if !error.is_connect() {
            return Failure::passing(HubError::CutOff { host, reason });
        }
        Failure {
            error: Box::new(HubError::Unreachable { host, reason }),
            again: Some(Again {
                most: MOST_KNOCKS,
                wait: None,
            }),
        }
    }

    fn busy(&self, response: &Response) -> Failure {
        let seconds = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok());
        Failure {
            error: Box::new(HubError::Refused {
                host: response.url().host_str().unwrap_or_default().to_owned(),
                status: status_text(response.status()),
                message: String::new(),
            }),
            again: Some(Again {
                most: MOST_REPETITIONS,
                wait: seconds.map(Duration::from_secs),
            }),
        }
    }
}

/// `404 Not Found`.
pub(super) fn status_text(status: StatusCode) -> String {
    status.to_string()
}

fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// What is at the bottom of an error: the layers above it only name addresses.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    let mut text = None;
    while let Some(error) = cause {
        text = Some(error.to_string());
        cause = error.source();
    }
    match text {
        Some(text) => text,
        None if error.is_timeout() => "no answer in time".to_owned(),
        None => "the connection broke".to_owned(),
    }
}

//! What a hub has of a model: its files at a commit, their sizes and checksums.

use reqwest::header::{CONTENT_LENGTH, ETAG, HeaderMap};
use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::checksum::Checksum;
use super::client::{Answer, Ask, Failure, Follow, HubClient, status_text};
use super::files::check_name;
use super::pull::Watcher;
use super::reference::is_commit;
use super::{HubError, HubReference};
use crate::nearest::nearest;

/// A model as the hub has it.
#[derive(Debug)]
pub(super) struct Listing {
    /// The commit that the revision names.
    pub(super) commit: String,
    /// The names of its files, all of them safe.
    pub(super) names: Vec<String>,
}

/// A file as the hub has it.
#[derive(Debug, Clone)]
pub(super) struct RemoteFile {
    pub(super) name: String,
    pub(super) bytes: u64,
    /// What the hub calls the content, and the cache the file that holds it.
    pub(super) etag: String,
    pub(super) checksum: Option<Checksum>,
}

#[derive(Debug, Deserialize)]
struct ModelInfo {
    sha: Option<String>,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Debug, Deserialize)]
struct Sibling {
    rfilename: String,
}

#[derive(Debug, Deserialize)]
struct Refs {
    #[serde(default)]
    branches: Vec<Named>,
    #[serde(default)]
    tags: Vec<Named>,
}

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
}

impl HubClient {
    /// The files of a model at a revision: `GET /api/models/{id}/revision/{revision}`.
    pub(super) async fn listing(
        &self,
        reference: &HubReference,
        watcher: &Watcher,
    ) -> Result<Listing, HubError> {
        let parts = ["api", "models"]
            .into_iter()
            .chain(reference.id().split('/'));
        let parts = parts.chain(["revision", reference.revision()]);
        let ask = Ask {
            method: Method::GET,
            url: self.url(parts),
            follow: Follow::WithinHub,
            from_byte: 0,
        };
        let info: ModelInfo = self.json(&ask, reference, watcher).await?;
        let bad = |reason: String| HubError::BadAnswer {
            endpoint: self.endpoint().to_owned(),
            reason,
        };
        let commit = info.sha.unwrap_or_default();
        if !is_commit(&commit) {
            return Err(bad(format!(
                "it names {commit:?} as the commit of `{reference}`"
            )));
        }
        let names = info.siblings.into_iter().map(|file| file.rfilename);
        let names: Vec<String> = names.collect();
        for name in &names {
            check_name(name).map_err(|reason| {
                bad(format!(
                    "`{reference}` has a file {name:?}, and {reason}; nothing of it is taken"
                ))
            })?;
        }
        Ok(Listing { commit, names })
    }

    /// Size and checksum of a file, told by the hub itself: `HEAD /{id}/resolve/{commit}/{file}`.
    pub(super) async fn file(
        &self,
        reference: &HubReference,
        commit: &str,
        name: &str,
        watcher: &Watcher,
    ) -> Result<RemoteFile, HubError> {
        let ask = Ask {
            method: Method::HEAD,
            follow: Follow::WithinHub,
            ..self.content(reference, commit, name)
        };
        let Answer { response, of_hub } = self.ask(&ask, watcher).await?;
        let status = response.status();
        if !status.is_success() && !status.is_redirection() {
            return Err(self.refusal(reference, response).await);
        }
        let bad = |what: &str| HubError::BadAnswer {
            endpoint: self.endpoint().to_owned(),
            reason: format!("it tells no {what} of the file `{name}` of `{reference}`"),
        };
        let etag = etag(&of_hub).ok_or_else(|| bad("ETag"))?;
        let bytes = number(&of_hub, "x-linked-size").or_else(|| {
            // The length of a redirection is not that of the file.
            let length = number(response.headers(), CONTENT_LENGTH.as_str());
            length.filter(|_| status.is_success())
        });
        Ok(RemoteFile {
            name: name.to_owned(),
            bytes: bytes.ok_or_else(|| bad("size"))?,
            checksum: Checksum::of_etag(&etag),
            etag,
        })
    }

    /// The request for a file's content: `GET /{id}/resolve/{commit}/{file}`.
    pub(super) fn content(&self, reference: &HubReference, commit: &str, name: &str) -> Ask {
        let parts = reference.id().split('/').chain(["resolve", commit]);
        Ask {
            method: Method::GET,
            url: self.url(parts.chain(name.split('/'))),
            follow: Follow::Anywhere,
            from_byte: 0,
        }
    }

    async fn json<T: for<'de> Deserialize<'de>>(
        &self,
        ask: &Ask,
        reference: &HubReference,
        watcher: &Watcher,
    ) -> Result<T, HubError> {
        let mut repetitions = 0;
        let text = loop {
            let Answer { response, .. } = self.ask(ask, watcher).await?;
            if !response.status().is_success() {
                return Err(self.refusal(reference, response).await);
            }
            match self.text(response).await {
                Ok(text) => break text,
                Err(failure) => self.wait(failure, &mut repetitions, watcher).await?,
            }
        };
        serde_json::from_slice(&text).map_err(|error| HubError::BadAnswer {
            endpoint: self.endpoint().to_owned(),
            reason: format!("what it says of `{reference}` is not understood: {error}"),
        })
    }

    /// What a status other than success means, and what can be done.
    pub(super) async fn refusal(
        &self,
        reference: &HubReference,
        response: reqwest::Response,
    ) -> HubError {
        let status = response.status();
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let code = header("x-error-code").unwrap_or_default();
        let message = one_line(&header("x-error-message").unwrap_or_default());
        let endpoint = self.endpoint().to_owned();
        let model = reference.id().to_owned();
        // Only the hub itself knows models: where it keeps contents, other things are meant.
        let unknown_or_private = self.is_hub(response.url())
            && matches!(status, StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND);
        match code.as_str() {
            "GatedRepo" => HubError::Gated {
                model,
                endpoint,
                with_token: self.has_token(),
            },
            "RevisionNotFound" => self.no_such_revision(reference).await,
            "RepoNotFound" | "" if message.starts_with("Invalid credentials") => {
                HubError::BadToken { endpoint }
            }
            "RepoNotFound" | "" if unknown_or_private => HubError::NoSuchModel {
                model,
                endpoint,
                status: status_text(status),
                with_token: self.has_token(),
            },
            _ => HubError::Refused {
                host: response.url().host_str().unwrap_or_default().to_owned(),
                status: status_text(status),
                message: match message.is_empty() {
                    true => code,
                    false => message,
                },
            },
        }
    }

    async fn no_such_revision(&self, reference: &HubReference) -> HubError {
        let known = self.revisions(reference).await.unwrap_or_default();
        let nearest = nearest(reference.revision(), known.iter().map(String::as_str));
        HubError::NoSuchRevision {
            reference: reference.clone(),
            endpoint: self.endpoint().to_owned(),
            nearest: nearest.map(str::to_owned),
            known,
        }
    }

    /// Branches and tags, to name them in an error; none where the hub does not tell.
    async fn revisions(&self, reference: &HubReference) -> Option<Vec<String>> {
        let parts = ["api", "models"]
            .into_iter()
            .chain(reference.id().split('/'));
        let ask = Ask {
            method: Method::GET,
            url: self.url(parts.chain(["refs"])),
            follow: Follow::WithinHub,
            from_byte: 0,
        };
        let Answer { response, .. } = self.ask_once(&ask).await.ok()?;
        if !response.status().is_success() {
            return None;
        }
        let text: Result<Vec<u8>, Failure> = self.text(response).await;
        let refs: Refs = serde_json::from_slice(&text.ok()?).ok()?;
        let all = refs.branches.into_iter().chain(refs.tags);
        Some(all.map(|named| one_line(&named.name)).collect())
    }
}

/// The name of a content: the hub's own where it keeps the content elsewhere. It becomes the
/// name of a file.
fn etag(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("x-linked-etag").or_else(|| headers.get(ETAG))?;
    let text = value.to_str().ok()?.trim();
    let text = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let fits = !text.is_empty() && text.len() <= 128 && text.chars().all(safe);
    fits.then(|| text.to_owned())
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// A text of the hub's as it can be shown on a line.
fn one_line(text: &str) -> String {
    /// Nobody reads more.
    const SHOWN_CHARS: usize = 200;
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(SHOWN_CHARS).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn the_hubs_own_etag_names_the_content() {
        let both = headers(&[("etag", "W/\"abc-1\""), ("x-linked-etag", "\"f00\"")]);
        assert_eq!(etag(&both).unwrap(), "f00");
        assert_eq!(etag(&headers(&[("etag", "W/\"abc-1\"")])).unwrap(), "abc-1");
        for unsafe_name in ["\"../x\"", "\"a/b\"", "\"\"", "\".\""] {
            assert_eq!(etag(&headers(&[("etag", unsafe_name)])), None);
        }
    }

    #[test]
    fn what_the_hub_says_stays_on_a_line() {
        assert_eq!(one_line("no\nsuch \u{1b}[31mthing"), "no such  [31mthing");
        assert_eq!(one_line(&"x".repeat(1000)).len(), 200);
    }
}

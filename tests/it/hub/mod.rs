//! `sluice models pull` from a hub on this machine, on its good and its bad days.

mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::sandbox::{Ended, Sandbox};
use server::{COMMIT, Fault, Hub, MODEL, etag};

const WEIGHTS: &str = "model.safetensors";
/// More than a few reads from the network bring.
const WEIGHTS_BYTES: usize = 300_000;

fn weights() -> Vec<u8> {
    (0..WEIGHTS_BYTES).map(|at| (at * at / 7) as u8).collect()
}

/// The files of a small model, and some that nobody wants.
fn hub() -> Hub {
    Hub::start(&[
        (".gitattributes", b"*.safetensors filter=lfs"),
        ("1_Pooling/config.json", b"{\"pooling\": \"mean\"}"),
        ("README.md", b"# Mini"),
        ("config.json", b"{\"hidden_size\": 4}"),
        (WEIGHTS, &weights()),
        ("onnx/model.onnx", b"onnx"),
        ("pytorch_model.bin", b"pickle"),
        ("tokenizer.json", b"{\"version\": \"1.0\"}"),
        ("vocab.txt", b"[PAD]\n[UNK]\n"),
    ])
}

/// A machine with an empty cache.
struct Machine {
    sandbox: Sandbox,
}

impl Machine {
    fn new() -> Self {
        Self {
            sandbox: Sandbox::new(),
        }
    }

    fn command(&self, endpoint: &str, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.sluice(arguments);
        for name in [
            "HF_HUB_CACHE",
            "HF_TOKEN",
            "HF_HUB_OFFLINE",
            "HTTP_PROXY",
            "http_proxy",
        ] {
            command.env_remove(name);
        }
        command
            .env("HF_ENDPOINT", endpoint)
            .env("HF_HOME", self.sandbox.path().join("hf"));
        command
    }

    fn call(&self, hub: &Hub, arguments: &[&str]) -> Ended {
        self.end(&mut self.command(&hub.endpoint, arguments))
    }

    fn pull(&self, hub: &Hub) -> Ended {
        self.call(hub, &["models", "pull", "hf:org/mini"])
    }

    /// What a call says, without what differs from run to run.
    fn end(&self, command: &mut Command) -> Ended {
        self.clean(Ended::of(command.output().unwrap(), self.sandbox.path()))
    }

    fn clean(&self, mut ended: Ended) -> Ended {
        for text in [&mut ended.stdout, &mut ended.stderr] {
            let lines = text.lines().map(|line| {
                // done     5 files, 0.07 s
                match line.strip_prefix("done ") {
                    Some(_) => line
                        .split(", ")
                        .map(|part| if part.ends_with(" s") { "[time]" } else { part })
                        .collect::<Vec<_>>()
                        .join(", "),
                    None => line.to_owned(),
                }
            });
            let cleaned: String = lines.map(|line| line + "\n").collect();
            *text = cleaned;
        }
        ended
    }

    fn model(&self) -> PathBuf {
        self.sandbox.path().join("hf/hub/models--org--mini")
    }

    fn snapshot(&self) -> PathBuf {
        self.model().join("snapshots").join(COMMIT)
    }

    /// Nothing that could be taken for a model is there.
    fn has_no_model(&self) -> bool {
        !self.model().join("snapshots").exists() && !self.model().join("refs").exists()
    }

    fn assert_whole(&self) {
        assert_eq!(fs::read(self.snapshot().join(WEIGHTS)).unwrap(), weights());
        let config = fs::read(self.snapshot().join("1_Pooling/config.json")).unwrap();
        assert_eq!(config, b"{\"pooling\": \"mean\"}");
        assert_eq!(
            fs::read_to_string(self.model().join("refs/main")).unwrap(),
            COMMIT
        );
        assert_eq!(self.left_over(), Vec::<PathBuf>::new());
    }

    /// Files under way, and drafts.
    fn left_over(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut open = vec![self.model()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap();
                if name.starts_with('.') || name.ends_with(".incomplete") {
                    found.push(path.clone());
                }
                if path.is_dir() {
                    open.push(path);
                }
            }
        }
        found
    }
}

/// The content that has arrived of a file, under the name that Python gives it.
fn partial(machine: &Machine, name: &str, content: &[u8]) -> PathBuf {
    let blobs = machine.model().join("blobs");
    blobs.join(format!("{}.incomplete", etag(name, content)))
}

/// Output with the host's port taken out.
fn told(hub: &Hub, ended: &Ended) -> String {
    let host = hub.endpoint.rsplit_once(':').unwrap();
    let mut lines: Vec<String> = ended.all().lines().map(str::to_owned).collect();
    // Files end in any order.
    let is_file = |line: &String| line.starts_with("file ");
    if let Some(first) = lines.iter().position(is_file) {
        let count = lines.iter().filter(|line| is_file(line)).count();
        lines[first..first + count].sort();
    }
    lines.join("\n").replace(&format!(":{}", host.1), ":[port]")
}

#[test]
fn a_model_is_pulled_once() {
    let (hub, machine) = (hub(), Machine::new());
    let ended = machine.pull(&hub);
    insta::assert_snapshot!(told(&hub, &ended));
    machine.assert_whole();
    // As Python's huggingface_hub has it: it finds the same files.
    let link = fs::read_link(machine.snapshot().join("1_Pooling/config.json")).unwrap();
    let blob = etag("config.json", b"{\"pooling\": \"mean\"}");
    assert_eq!(link, Path::new("../../../blobs").join(blob));
    hub.requests();

    let again = machine.pull(&hub);
    insta::assert_snapshot!(told(&hub, &again));
    let contents = hub
        .requests()
        .into_iter()
        .filter(|request| request.elsewhere);
    assert_eq!(contents.count(), 0);

    let listed = machine.call(&hub, &["models", "pulled", "--format", "csv"]);
    insta::assert_snapshot!(listed.stdout);
}

#[test]
fn revisions_files_and_folders_are_chosen() {
    let (hub, machine) = (hub(), Machine::new());
    let copy = machine.sandbox.path().join("models/mini");
    let pull = [
        "models",
        "pull",
        "hf:org/mini@refs/pr/1",
        "--include",
        "tokenizer*",
        "--include",
    ];
    let arguments = [&pull[..], &["*.md", "--to", "models/mini"]].concat();
    let ended = machine.call(&hub, &arguments);
    insta::assert_snapshot!(told(&hub, &ended));
    let mut names: Vec<_> = fs::read_dir(&copy)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["README.md", "tokenizer.json"]);
    let reference = machine.model().join("refs/refs/pr/1");
    assert_eq!(fs::read_to_string(reference).unwrap(), COMMIT);

    // The same again is no conflict, another content is.
    let again = machine.call(&hub, &arguments);
    assert_eq!(again.code, Some(0), "{}", again.all());
    fs::write(copy.join("tokenizer.json"), "{\"version\": \"2.0\"}").unwrap();
    let other = machine.call(&hub, &arguments);
    insta::assert_snapshot!(told(&hub, &other));

    // The rest of it comes into the same folder.
    let rest = machine.call(&hub, &["models", "pull", "hf:org/mini"]);
    assert_eq!(rest.code, Some(0), "{}", rest.all());
    machine.assert_whole();
    let commit = machine.call(&hub, &["models", "pull", &format!("hf:org/mini@{COMMIT}")]);
    assert!(
        commit.stdout.contains("all here already"),
        "{}",
        commit.all()
    );
}

#[test]
fn a_new_commit_leaves_the_old_one() {
    const NEXT: &str = "fedcba9876543210fedcba9876543210fedcba98";
    let (hub, machine) = (hub(), Machine::new());
    machine.pull(&hub);
    hub.commit(NEXT, "config.json", b"{\"hidden_size\": 8}");
    let ended = machine.pull(&hub);
    assert!(ended.stdout.contains("4 here already"), "{}", ended.all());
    let config = |commit: &str| {
        let path = machine.model().join("snapshots").join(commit);
        fs::read_to_string(path.join("config.json")).unwrap()
    };
    assert_eq!(config(COMMIT), "{\"hidden_size\": 4}");
    assert_eq!(config(NEXT), "{\"hidden_size\": 8}");
    assert_eq!(
        fs::read_to_string(machine.model().join("refs/main")).unwrap(),
        NEXT
    );
}

#[test]
fn what_is_cut_off_goes_on() {
    let (hub, machine) = (hub(), Machine::new());
    hub.spoil(WEIGHTS, &[Fault::Cut(100_000), Fault::Cut(50_000)]);
    hub.spoil("api", &[Fault::Status(503)]);
    let ended = machine.pull(&hub);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    machine.assert_whole();
    assert_eq!(
        ended.stderr.matches("again    in 0.50 s").count(),
        3,
        "{}",
        ended.stderr
    );
    let ranges: Vec<Option<String>> = hub
        .requests()
        .into_iter()
        .filter(|request| request.elsewhere && request.method == "GET")
        .map(|request| request.headers.get("range").cloned())
        .collect();
    let range = |first: usize| Some(format!("bytes={first}-"));
    assert_eq!(ranges, [None, range(100_000), range(150_000)]);
}

/// Killed in the middle: no half model, and what has arrived is not fetched again.
#[test]
fn killed_in_the_middle() {
    const ARRIVED: usize = 120_000;
    let (hub, machine) = (hub(), Machine::new());
    hub.spoil(WEIGHTS, &[Fault::Stall(ARRIVED)]);
    let mut child = machine
        .command(&hub.endpoint, &["models", "pull", "hf:org/mini"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    hub.wait_for_stall();
    let partial = partial(&machine, WEIGHTS, &weights());
    let arrived = || fs::metadata(&partial).map_or(0, |file| file.len());
    while arrived() < ARRIVED as u64 {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(machine.has_no_model());
    let resolved = machine.call(&hub, &["models", "pulled", "--format", "csv"]);
    assert_eq!(resolved.stdout, "model,commit,files,bytes,folder\n");
    hub.requests();

    let ended = machine.pull(&hub);
    assert!(
        ended
            .stdout
            .contains("model.safetensors, 300.0 kB, begun earlier and ended now"),
        "{}",
        ended.all()
    );
    machine.assert_whole();
    let requests = hub.requests();
    let fetched = requests.iter().find(|request| request.elsewhere).unwrap();
    assert_eq!(fetched.headers["range"], format!("bytes={ARRIVED}-"));
}

#[cfg(unix)]
#[test]
fn stopped_by_the_user() {
    let (hub, machine) = (hub(), Machine::new());
    hub.spoil(WEIGHTS, &[Fault::Stall(1000)]);
    let child = machine
        .command(&hub.endpoint, &["models", "pull", "hf:org/mini"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    hub.wait_for_stall();
    let interrupt = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(interrupt.success());
    let output = child.wait_with_output().unwrap();
    let ended = Ended::of(output, machine.sandbox.path());
    assert_eq!(ended.code, Some(130), "{}", ended.all());
    assert!(
        ended.stderr.contains("the next pull goes on"),
        "{}",
        ended.all()
    );
    assert!(machine.has_no_model());
}

/// What was there before may be anything: the checksum tells.
#[test]
fn a_wrong_beginning_is_thrown_away() {
    for beginning in [
        &b"not the weights"[..],
        &vec![7; WEIGHTS_BYTES + 5],
        &vec![7; WEIGHTS_BYTES],
    ] {
        let (hub, machine) = (hub(), Machine::new());
        let partial = partial(&machine, WEIGHTS, &weights());
        fs::create_dir_all(partial.parent().unwrap()).unwrap();
        fs::write(&partial, beginning).unwrap();
        let ended = machine.pull(&hub);
        assert_eq!(ended.code, Some(0), "{}", ended.all());
        machine.assert_whole();
    }
}

#[test]
fn a_server_without_ranges_sends_all_again() {
    let (hub, machine) = (hub(), Machine::new());
    hub.spoil(WEIGHTS, &[Fault::Cut(100_000), Fault::NoRanges]);
    let ended = machine.pull(&hub);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    machine.assert_whole();
}

#[test]
fn damaged_contents_are_not_taken() {
    for (name, fault) in [
        (WEIGHTS, Fault::Corrupt),
        ("config.json", Fault::Corrupt),
        (WEIGHTS, Fault::TooLong),
        (WEIGHTS, Fault::NoHeaders),
    ] {
        let (hub, machine) = (hub(), Machine::new());
        hub.spoil(name, std::slice::from_ref(&fault));
        let ended = machine.pull(&hub);
        assert_eq!(ended.code, Some(4), "{}", ended.all());
        assert!(machine.has_no_model());
        insta::assert_snapshot!(format!("{fault:?}-{name}"), failure(&hub, &ended));
        // What is right has stayed; the rest is fetched again.
        let again = machine.pull(&hub);
        match fault {
            Fault::NoHeaders => assert_eq!(again.code, Some(4)),
            _ => machine.assert_whole(),
        }
    }
}

/// Standard error alone: how many files came before is chance.
fn failure(hub: &Hub, ended: &Ended) -> String {
    let port = hub.endpoint.rsplit_once(':').unwrap().1;
    ended.stderr.replace(&format!(":{port}"), ":[port]")
}

#[test]
fn a_name_that_leads_out_is_refused() {
    for name in [
        "../outside.json",
        "/etc/outside.json",
        "a\\\\..\\\\outside.json",
    ] {
        let (hub, machine) = (
            Hub::start(&[("config.json", b"{}"), (name, b"{}")]),
            Machine::new(),
        );
        let ended = machine.pull(&hub);
        assert_eq!(ended.code, Some(4), "{}", ended.all());
        assert!(ended.stderr.contains("outside.json"), "{}", ended.all());
        assert!(
            ended.stderr.contains("nothing of it is taken"),
            "{}",
            ended.all()
        );
        assert!(!machine.model().exists());
    }
}

/// The token goes to the hub, and to nobody else; it is never shown.
#[test]
fn a_token_is_for_the_hub_alone() {
    const TOKEN: &str = "hf_verysecret";
    let (hub, machine) = (hub(), Machine::new());
    hub.close(TOKEN);
    let pull = ["models", "pull", "hf:org/mini"];
    let ended = machine.end(
        machine
            .command(&hub.endpoint, &pull)
            .env("HF_TOKEN", TOKEN)
            .env("SLUICE_LOG", "trace"),
    );
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    assert!(!ended.all().contains(TOKEN), "{}", ended.all());
    let requests = hub.requests();
    assert!(requests.iter().any(|request| request.elsewhere));
    for request in &requests {
        let shown = request.headers.get("authorization").map(String::as_str);
        let wanted = (!request.elsewhere).then_some("Bearer hf_verysecret");
        assert_eq!(shown, wanted, "{request:?}");
    }

    let without = Machine::new();
    let ended = without.pull(&hub);
    assert_eq!(ended.code, Some(2));
    insta::assert_snapshot!(told(&hub, &ended));
    let mut command = without.command(&hub.endpoint, &pull);
    let ended = without.end(command.env("HF_TOKEN", "hf_wrong"));
    assert_eq!(ended.code, Some(2));
    insta::assert_snapshot!(told(&hub, &ended));
    assert!(!without.model().exists());
}

#[test]
fn terms_that_are_not_accepted() {
    let (hub, machine) = (hub(), Machine::new());
    hub.gate();
    let ended = machine.pull(&hub);
    insta::assert_snapshot!(told(&hub, &ended));
    assert!(machine.has_no_model());
}

#[test]
fn what_the_hub_does_not_have() {
    let (hub, machine) = (hub(), Machine::new());
    let mut all = String::new();
    for arguments in [
        &["hf:org/maxi"][..],
        &["hf:org/mini@v1.1"],
        &["hf:org/mini", "--include", "*.gguf"],
        &["hf:org/mini", "--include", "["],
        &["org/mini"],
        &["hf:org/mini/x"],
    ] {
        let ended = machine.call(&hub, &[&["models", "pull"], arguments].concat());
        assert_eq!(ended.code, Some(2), "{}", ended.all());
        all.push_str(&format!(
            "{}\n{}\n",
            arguments.join(" "),
            failure(&hub, &ended)
        ));
    }
    insta::assert_snapshot!(all);
    assert!(!machine.model().exists());
}

#[test]
fn only_pickled_weights() {
    let files: [(&str, &[u8]); 3] = [
        ("config.json", b"{}"),
        ("pytorch_model.bin", b"pickle"),
        ("tokenizer.json", b"{}"),
    ];
    let (hub, machine) = (Hub::start(&files), Machine::new());
    let ended = machine.pull(&hub);
    assert_eq!(ended.code, Some(0));
    insta::assert_snapshot!(failure(&hub, &ended));
}

#[test]
fn nobody_answers_or_nobody_may_be_asked() {
    let (hub, machine) = (hub(), Machine::new());
    let pull = ["models", "pull", "hf:org/mini"];
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let nobody = format!("http://127.0.0.1:{port}");
    let ended = machine.end(&mut machine.command(&nobody, &pull));
    assert_eq!(ended.code, Some(4), "{}", ended.all());
    assert!(
        ended.stderr.contains("127.0.0.1 cannot be reached"),
        "{}",
        ended.all()
    );
    assert!(ended.stderr.contains("HF_ENDPOINT"), "{}", ended.all());

    let mut offline = machine.command(&hub.endpoint, &pull);
    let ended = machine.end(offline.env("HF_HUB_OFFLINE", "1"));
    assert_eq!(ended.code, Some(2));
    insta::assert_snapshot!(failure(&hub, &ended));
    machine.pull(&hub);
    hub.requests();
    let mut offline = machine.command(&hub.endpoint, &pull);
    let ended = machine.end(offline.env("HF_HUB_OFFLINE", "1"));
    insta::assert_snapshot!(told(&hub, &ended));
    assert_eq!(hub.requests(), []);
}

/// `/dev/full` is a disk without space.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk() {
    let (hub, machine) = (hub(), Machine::new());
    let partial = partial(&machine, WEIGHTS, &weights());
    fs::create_dir_all(partial.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/dev/full", &partial).unwrap();
    let ended = machine.pull(&hub);
    assert_eq!(ended.code, Some(4), "{}", ended.all());
    assert!(machine.has_no_model());
    let stderr = failure(&hub, &ended);
    let told = stderr.replace(&etag(WEIGHTS, &weights()), "[etag]");
    insta::assert_snapshot!(told);
}

/// Two at once: one waits for what the other downloads.
#[test]
fn two_pulls_share_the_work() {
    let (hub, machine) = (hub(), Machine::new());
    let start = || {
        machine
            .command(&hub.endpoint, &["models", "pull", "hf:org/mini"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    for child in [start(), start()] {
        let ended = Ended::of(child.wait_with_output().unwrap(), machine.sandbox.path());
        assert_eq!(ended.code, Some(0), "{}", ended.all());
    }
    machine.assert_whole();
    let requests = hub.requests();
    let contents = requests
        .iter()
        .filter(|request| request.elsewhere && request.method == "GET");
    assert_eq!(contents.count(), 1);
    assert!(requests.iter().any(|request| request.path.contains(MODEL)));
}

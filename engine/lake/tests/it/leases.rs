//! Leases: one run a project, and none that lost its lease writes.

use sluice_lake::delta::WriteMode;
use sluice_lake::state::{Claimant, LEASE, Lease, RunKind, State, StateError};

use crate::fixture::{TestLake, commit, name, stream, words};
use crate::state::{PROJECT, new_run, record};

const NOW: i64 = 1_700_000_000_000;

fn claimant(host: &str, locked: bool) -> Claimant {
    Claimant {
        project: PROJECT.to_owned(),
        pipeline: "wine".to_owned(),
        host: host.to_owned(),
        machine: format!("boot of {host}"),
        pid: 7,
        locked,
    }
}

fn lease_ms() -> i64 {
    i64::try_from(LEASE.as_millis()).unwrap()
}

async fn taken(state: &State, claimant: &Claimant, now_ms: i64) -> Lease {
    state.take_lease(claimant, now_ms).await.unwrap().unwrap()
}

/// Why it is not to be had: who holds it, or `None` where nobody says so.
async fn refused(state: &State, claimant: &Claimant, now_ms: i64) -> Option<String> {
    let holder = state
        .take_lease(claimant, now_ms)
        .await
        .unwrap()
        .unwrap_err();
    holder.map(|holder| format!("{} {} {}", holder.pid, holder.host, holder.taken_time))
}

#[tokio::test]
async fn is_held_by_one_and_tokens_grow() {
    let test = TestLake::new();
    let state = State::open(test.lake.state_path()).await.unwrap();
    let (a, b) = (claimant("a", true), claimant("b", true));
    let first = taken(&state, &a, NOW).await;
    assert_eq!(first.token, 1);
    // Another machine, on which the lock file says nothing.
    let holder = Some(format!("7 a {NOW}"));
    assert_eq!(refused(&state, &b, NOW + 1).await, holder);
    assert_eq!(
        refused(&state, &claimant("a", false), NOW + 1).await,
        holder
    );
    // Renewed, it lasts on.
    assert!(
        state
            .renew_lease(&first, NOW + lease_ms() - 1)
            .await
            .unwrap()
    );
    assert_eq!(refused(&state, &b, NOW + lease_ms()).await, holder);
    // Given back, it is free for whoever holds the lock.
    state.release_lease(&first).await.unwrap();
    assert_eq!(state.lease_holder(PROJECT).await.unwrap(), None);
    assert_eq!(refused(&state, &claimant("b", false), NOW).await, None);
    assert_eq!(taken(&state, &b, NOW).await.token, 2);
    assert!(!state.renew_lease(&first, NOW).await.unwrap());
    // A late word of the first one frees nothing.
    state.release_lease(&first).await.unwrap();
    assert!(state.lease_holder(PROJECT).await.unwrap().is_some());
}

#[tokio::test]
async fn passes_on_when_its_process_ended_or_stopped() {
    let test = TestLake::new();
    let state = State::open(test.lake.state_path()).await.unwrap();
    taken(&state, &claimant("a", true), NOW).await;
    // The lock is free on the same machine: its process is gone.
    let second = taken(&state, &claimant("a", true), NOW + 1).await;
    // Held by a process that is stopped, with its lock: only when it expires.
    let unlocked = claimant("a", false);
    assert!(refused(&state, &unlocked, NOW + lease_ms()).await.is_some());
    let third = taken(&state, &unlocked, NOW + 1 + lease_ms()).await;
    assert_eq!((second.token, third.token), (2, 3));
    assert!(!state.renew_lease(&second, NOW + lease_ms()).await.unwrap());
    // It does not hold the lock, so that a free lock does not tell that it is gone.
    let locked = claimant("a", true);
    assert!(
        refused(&state, &locked, NOW + 2 + lease_ms())
            .await
            .is_some()
    );
    assert_eq!(
        taken(&state, &locked, NOW + 1 + 2 * lease_ms()).await.token,
        4
    );
}

#[tokio::test]
async fn a_run_that_lost_it_writes_nothing() {
    let test = TestLake::new();
    let state = State::open(test.lake.state_path()).await.unwrap();
    let old = taken(&state, &claimant("a", true), NOW).await;
    let fenced = state.fenced(old);
    let lake = test.lake.fenced(fenced.clone());
    let table = name("silver.t");
    let write = |row: i64, txn: i64| {
        let rows = stream(vec![words(&[(row, "a")])]);
        lake.write(&table, WriteMode::Append, rows, commit(txn))
    };
    write(1, 1).await.unwrap();
    let run = fenced.start_run(new_run(RunKind::Run, None)).await.unwrap();
    let begun = record(&run, "k", &[]);
    let txn = fenced.next_txn(&begun, None).await.unwrap();

    let new = taken(&state, &claimant("b", true), NOW + lease_ms()).await;

    let told = |error: StateError| {
        assert!(
            matches!(error, StateError::LeaseLost { token: 1, .. }),
            "{error}"
        );
        let text = error.to_string();
        assert!(text.contains("process 7 on b"), "{text}");
    };
    told(
        fenced
            .start_run(new_run(RunKind::Run, None))
            .await
            .unwrap_err(),
    );
    told(
        fenced
            .confirm_txn(&begun.app_id(), txn, 1, None)
            .await
            .unwrap_err(),
    );
    let error = write(2, 2).await.unwrap_err().to_string();
    assert!(error.contains("another run has taken over"), "{error}");
    assert_eq!(test.lake.latest_version(&table).await.unwrap(), Some(0));
    // What it reads is not fenced, and the new holder goes on.
    assert_eq!(lake.load(&table, None).await.unwrap().version, 0);
    let fenced = state.fenced(new);
    let lake = test.lake.fenced(fenced.clone());
    let rows = stream(vec![words(&[(3, "b")])]);
    lake.write(&table, WriteMode::Append, rows, commit(2))
        .await
        .unwrap();
    assert_eq!(test.rows("silver.t").await.len(), 2);
    fenced.start_run(new_run(RunKind::Run, None)).await.unwrap();
}

/// A store that was lost counts from 1 again; an old lease of number 1 is none of its.
#[tokio::test]
async fn a_lease_of_a_lost_store_is_lost() {
    let test = TestLake::new();
    let other = TestLake::new();
    let state = State::open(test.lake.state_path()).await.unwrap();
    let lost = State::open(other.lake.state_path()).await.unwrap();
    let old = taken(&lost, &claimant("a", true), NOW).await;
    let new = taken(&state, &claimant("a", true), NOW).await;
    assert_eq!(old.token, new.token);
    assert!(!state.renew_lease(&old, NOW).await.unwrap());
    let error = state
        .fenced(old)
        .start_run(new_run(RunKind::Run, None))
        .await;
    assert!(
        matches!(error, Err(StateError::LeaseLost { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_tick_is_claimed_once() {
    use sluice_lake::state::{RunId, Tick};
    let test = TestLake::new();
    let states = [
        State::open(test.lake.state_path()).await.unwrap(),
        State::open(test.lake.state_path()).await.unwrap(),
    ];
    let tick = |name: &str, time_ms| Tick {
        project: PROJECT.to_owned(),
        cause: "time",
        name: name.to_owned(),
        time_ms,
    };
    let mut claimed = 0;
    for number in 0..20 {
        let tick = tick(&number.to_string(), number);
        let both = tokio::join!(states[0].claim_tick(&tick), states[1].claim_tick(&tick));
        claimed += i32::from(both.0.unwrap()) + i32::from(both.1.unwrap());
    }
    assert_eq!(claimed, 20);
    assert_eq!(states[0].last_tick(PROJECT).await.unwrap(), Some(19));
    // What never began is given back, what came to something is not.
    states[0].release_tick(&tick("19", 19)).await.unwrap();
    assert!(states[1].claim_tick(&tick("19", 19)).await.unwrap());
    let run = RunId::generate();
    states[1]
        .finish_tick(&tick("19", 19), "FINISHED", Some(&run))
        .await
        .unwrap();
    states[0].release_tick(&tick("19", 19)).await.unwrap();
    assert!(!states[0].claim_tick(&tick("19", 19)).await.unwrap());
}

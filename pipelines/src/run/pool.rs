//! Walks a graph of stages: each starts when all that it depends on are done, at most
//! `width` at a time; what depends on a failed stage is not tried.

use std::collections::BTreeSet;
use std::future::Future;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How a stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StageEnd {
    /// Made, or found to be up to date.
    Done,
    /// Failed.
    Failed,
    /// Stopped by the user, as all that waits is.
    Stopped,
}

/// Runs every node of a graph. `depends[i]` are the nodes that must be done before `i`
/// (indices; the graph has no cycle). `start` gives the work of a node, `blocked(i, by)` is
/// told of each node that is not tried since `by` failed. After `cancel` nothing new starts.
///
/// Returns the nodes that were never started.
pub(crate) async fn walk<F>(
    depends: &[BTreeSet<usize>],
    width: usize,
    cancel: &CancellationToken,
    start: impl Fn(usize) -> F,
    mut blocked: impl FnMut(usize, usize),
) -> BTreeSet<usize>
where
    F: Future<Output = StageEnd> + Send + 'static,
{
    let mut waiting: BTreeSet<usize> = (0..depends.len()).collect();
    let mut missing: Vec<usize> = depends.iter().map(BTreeSet::len).collect();
    let dependents = dependents(depends);
    let free = (0..depends.len()).filter(|node| missing[*node] == 0);
    let mut ready: BTreeSet<usize> = free.collect();
    let mut running = JoinSet::new();
    let mut node_of = std::collections::HashMap::new();
    loop {
        while running.len() < width.max(1) && !cancel.is_cancelled() {
            let Some(node) = ready.pop_first() else {
                break;
            };
            waiting.remove(&node);
            let handle = running.spawn(start(node));
            node_of.insert(handle.id(), node);
        }
        let (node, end) = match running.join_next_with_id().await {
            None => break,
            Some(Ok((id, end))) => (node_of.remove(&id), end),
            Some(Err(error)) => (node_of.remove(&error.id()), StageEnd::Failed),
        };
        let Some(node) = node else { continue };
        match end {
            StageEnd::Done => {
                for next in &dependents[node] {
                    missing[*next] -= 1;
                    if missing[*next] == 0 {
                        ready.insert(*next);
                    }
                }
            }
            StageEnd::Stopped => {}
            StageEnd::Failed => {
                let mut frontier = vec![node];
                while let Some(by) = frontier.pop() {
                    for lost in &dependents[by] {
                        if waiting.remove(lost) {
                            blocked(*lost, by);
                            frontier.push(*lost);
                        }
                    }
                }
            }
        }
    }
    waiting
}

/// For each node those that wait for it, in order.
fn dependents(depends: &[BTreeSet<usize>]) -> Vec<Vec<usize>> {
    let mut dependents = vec![Vec::new(); depends.len()];
    for (node, needs) in depends.iter().enumerate() {
        for need in needs {
            dependents[*need].push(node);
        }
    }
    dependents
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn graph(edges: &[&[usize]]) -> Vec<BTreeSet<usize>> {
        edges
            .iter()
            .map(|node| node.iter().copied().collect())
            .collect()
    }

    async fn walked(
        depends: &[BTreeSet<usize>],
        failing: Option<usize>,
    ) -> (Vec<usize>, Vec<(usize, usize)>) {
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut blocked = Vec::new();
        let start = |node| {
            let order = Arc::clone(&order);
            async move {
                order.lock().unwrap().push(node);
                if Some(node) == failing {
                    StageEnd::Failed
                } else {
                    StageEnd::Done
                }
            }
        };
        walk(depends, 2, &CancellationToken::new(), start, |node, by| {
            blocked.push((node, by))
        })
        .await;
        let order = order.lock().unwrap().clone();
        (order, blocked)
    }

    #[tokio::test]
    async fn a_stage_starts_after_all_that_it_depends_on() {
        let depends = graph(&[&[1, 2], &[2], &[], &[0]]);
        let (order, blocked) = walked(&depends, None).await;
        assert_eq!(order, [2, 1, 0, 3]);
        assert_eq!(blocked, []);
    }

    #[tokio::test]
    async fn what_depends_on_a_failed_stage_is_blocked_by_the_nearest() {
        let depends = graph(&[&[], &[0], &[1], &[]]);
        let (order, mut blocked) = walked(&depends, Some(0)).await;
        blocked.sort_unstable();
        assert_eq!(blocked, [(1, 0), (2, 1)]);
        assert!(order.contains(&3));
    }

    #[tokio::test]
    async fn a_panic_in_a_stage_fails_it_and_nothing_else() {
        let depends = graph(&[&[], &[0], &[]]);
        let mut blocked = Vec::new();
        let start = |node: usize| async move {
            assert!(node != 0, "the first stage breaks");
            StageEnd::Done
        };
        let left = walk(&depends, 1, &CancellationToken::new(), start, |node, by| {
            blocked.push((node, by))
        })
        .await;
        assert_eq!(blocked, [(1, 0)]);
        assert!(left.is_empty());
    }

    #[tokio::test]
    async fn nothing_starts_after_a_cancel() {
        let cancel = CancellationToken::new();
        let depends = graph(&[&[], &[0], &[]]);
        let stop = cancel.clone();
        let start = move |_| {
            let stop = stop.clone();
            async move {
                stop.cancel();
                StageEnd::Done
            }
        };
        let left = walk(&depends, 1, &cancel, start, |_, _| {}).await;
        assert_eq!(left, BTreeSet::from([1, 2]));
    }
}

//! Which assets selectors mean.

use std::collections::{BTreeSet, VecDeque};

use sluice_lake::nearest::nearest;
use sluice_lake::state::{Stage, StageStatus};

use super::facts::{Facts, Known};
use super::syntax::{AssetResult, AssetState, Criterion, Pattern, SelectError, Selector, Term};
use crate::check::World;
use crate::plan::{Asset, Plan};

/// What to take, and what to leave out of it.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// What to take; empty: everything.
    pub select: Vec<Selector>,
    /// What to leave out.
    pub exclude: Vec<Selector>,
}

impl Selection {
    /// Whether it is everything.
    pub fn is_everything(&self) -> bool {
        self.select.is_empty() && self.exclude.is_empty()
    }

    fn selectors(&self) -> impl Iterator<Item = &Selector> {
        self.select.iter().chain(&self.exclude)
    }
}

/// The positions of the assets that a selection means.
///
/// # Errors
/// A name that no asset has, a selection of nothing (unless it asks how things stand: nothing may
/// be modified, and nothing may have failed), and, where `state:` or `result:` is asked
/// for, a lakehouse that cannot be read.
pub async fn select(
    plan: &Plan,
    world: &World,
    selection: &Selection,
) -> Result<BTreeSet<usize>, SelectError> {
    let all: BTreeSet<usize> = (0..plan.assets.len()).collect();
    if selection.is_everything() {
        return Ok(all);
    }
    let asked = Facts {
        state: selection.selectors().any(Selector::asks_state),
        result: selection.selectors().any(Selector::asks_result),
    };
    let known = asked.gather(plan, world).await?;
    let graph = Graph {
        plan,
        known: &known,
        made_from: dependents(plan),
    };
    let mut chosen = match selection.select.as_slice() {
        [] => all,
        selectors => graph.union(selectors)?,
    };
    for left_out in graph.union(&selection.exclude)? {
        chosen.remove(&left_out);
    }
    // That nothing is modified, or that nothing failed, is an answer; that no name fits is not.
    let about_time = asked.state || (asked.result && known.has_run);
    if chosen.is_empty() && !about_time {
        return Err(nothing(selection, &known));
    }
    Ok(chosen)
}

/// The positions of the assets that a run with these stages did not get done: they failed, were
/// not tried because others did, or it was stopped before. Assets that the plan no longer has
/// are left out.
pub fn undone(plan: &Plan, stages: &[Stage]) -> BTreeSet<usize> {
    let left = stages
        .iter()
        .filter(|stage| !matches!(stage.status, StageStatus::Success | StageStatus::Skipped));
    left.filter_map(|stage| plan.position(&stage.asset))
        .collect()
}

fn nothing(selection: &Selection, known: &Known) -> SelectError {
    let words = |selectors: &[Selector]| -> String {
        let words: Vec<String> = selectors.iter().map(Selector::to_string).collect();
        words.join(" ")
    };
    let mut written = words(&selection.select);
    if !selection.exclude.is_empty() {
        let rest = format!("--exclude {}", words(&selection.exclude));
        written = match written.is_empty() {
            true => rest,
            false => format!("{written} {rest}"),
        };
    }
    SelectError::Nothing {
        written,
        reason: known.why_nothing(selection.selectors().any(Selector::asks_result)),
    }
}

/// For each asset, those that need it.
fn dependents(plan: &Plan) -> Vec<BTreeSet<usize>> {
    let mut dependents = vec![BTreeSet::new(); plan.depends.len()];
    for (position, needs) in plan.depends.iter().enumerate() {
        for need in needs {
            dependents[*need].insert(position);
        }
    }
    dependents
}

struct Graph<'a> {
    plan: &'a Plan,
    known: &'a Known,
    made_from: Vec<BTreeSet<usize>>,
}

impl Graph<'_> {
    fn union(&self, selectors: &[Selector]) -> Result<BTreeSet<usize>, SelectError> {
        let mut all = BTreeSet::new();
        for part in selectors.iter().flat_map(|selector| &selector.parts) {
            let mut common: Option<BTreeSet<usize>> = None;
            for term in part {
                let found = self.term(term)?;
                common = Some(match common {
                    None => found,
                    Some(common) => common.intersection(&found).copied().collect(),
                });
            }
            all.extend(common.into_iter().flatten());
        }
        Ok(all)
    }

    fn term(&self, term: &Term) -> Result<BTreeSet<usize>, SelectError> {
        let found: BTreeSet<usize> = (0..self.plan.assets.len())
            .filter(|position| self.fits(*position, &term.criterion))
            .collect();
        if let Criterion::Name(name) = &term.criterion
            && found.is_empty()
            && name.is_literal()
        {
            return Err(self.unknown(name));
        }
        let needs = &self.plan.depends;
        if term.with_needs {
            let after = reach(&found, &self.made_from, usize::MAX);
            return Ok(reach(&after, needs, usize::MAX));
        }
        let mut all = found.clone();
        if let Some(steps) = term.before {
            all.extend(reach(&found, needs, steps));
        }
        if let Some(steps) = term.after {
            all.extend(reach(&found, &self.made_from, steps));
        }
        Ok(all)
    }

    fn unknown(&self, name: &Pattern) -> SelectError {
        let names = self.plan.assets.iter().map(|asset| asset.name.as_str());
        SelectError::UnknownName {
            name: name.text.clone(),
            nearest: nearest(&name.text, names).map(str::to_owned),
        }
    }

    fn fits(&self, position: usize, criterion: &Criterion) -> bool {
        let asset: &Asset = &self.plan.assets[position];
        match criterion {
            Criterion::Name(name) => name.matches(&asset.name),
            Criterion::Layer(layer) => {
                let table = asset.table();
                table.is_some_and(|table| layer.matches(table.layer()))
            }
            Criterion::Tag(tag) => asset.tags.iter().any(|own| tag.matches(own)),
            Criterion::Kind(kind) => kind.matches(asset.kind()),
            Criterion::State(state) => {
                self.known
                    .states
                    .get(position)
                    .is_some_and(|known| match state {
                        AssetState::New => known.is_new,
                        AssetState::Modified => known.is_new || known.is_modified,
                        AssetState::Unmodified => !known.is_new && !known.is_modified,
                        AssetState::Stale => known.is_stale,
                    })
            }
            Criterion::Result(result) => {
                let known: Option<&AssetResult> = self.known.results.get(&asset.name);
                known == Some(result)
            }
        }
    }
}

/// What can be reached from `start` in so many steps, itself included.
fn reach(start: &BTreeSet<usize>, edges: &[BTreeSet<usize>], steps: usize) -> BTreeSet<usize> {
    let mut reached = start.clone();
    let mut frontier: VecDeque<(usize, usize)> = start.iter().map(|node| (*node, 0)).collect();
    while let Some((node, taken)) = frontier.pop_front() {
        if taken == steps {
            continue;
        }
        for next in &edges[node] {
            if reached.insert(*next) {
                frontier.push_back((*next, taken + 1));
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_takes_the_nearest_way_and_no_more_steps_than_it_may() {
        // 0 <- 1 <- 2 <- 3, and 3 also needs 1.
        let needs: Vec<BTreeSet<usize>> = [vec![], vec![0], vec![1], vec![2, 1]]
            .map(|needs| needs.into_iter().collect())
            .into();
        let from = |start: usize, steps| -> Vec<usize> {
            let reached = reach(&BTreeSet::from([start]), &needs, steps);
            reached.into_iter().collect()
        };
        assert_eq!(from(3, 0), [3]);
        assert_eq!(from(3, 1), [1, 2, 3]);
        assert_eq!(from(3, 2), [0, 1, 2, 3]);
        assert_eq!(from(2, usize::MAX), [0, 1, 2]);
    }
}

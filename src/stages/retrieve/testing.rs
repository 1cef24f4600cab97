//! What the tests of retrievers share.

use crate::domain::{Request, RequestContext, Retrieved, SessionState, UnitVector, UserProfile};
use crate::pipeline::{Deadline, Retriever};
use crate::stages::fixtures;

/// What a retriever proposes, after the contract has been checked: twice the same, within the quota, distinct, finite
/// scores that do not rise.
pub(super) fn hits(stage: &mut dyn Retriever, context: &RequestContext, quota: usize) -> Vec<Retrieved> {
    let (mut first, mut out) = (Vec::new(), Vec::new());
    stage.retrieve(context, quota, &Deadline::never(), &mut first).unwrap();
    stage.retrieve(context, quota, &Deadline::never(), &mut out).unwrap();
    assert_eq!(first, out, "{} remembers the request before", stage.name());
    assert!(out.len() <= quota);
    assert!(out.iter().all(|hit| hit.score.is_finite()));
    assert!(out.is_sorted_by(|a, b| a.score >= b.score), "{out:?}");
    let mut distinct = rows(&out);
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), out.len());
    out
}

/// The rows of hits, in their order.
pub(super) fn rows(hits: &[Retrieved]) -> Vec<u32> {
    hits.iter().map(|hit| hit.track.0).collect()
}

/// The context of a new listener with this user vector.
pub(super) fn taste(request: Request, user: UnitVector) -> RequestContext {
    let mut context = fixtures::context(request, SessionState::default(), UserProfile::default());
    context.user_vector = Some(user);
    context
}

//! The moment before a play begins, as the serving code sees it.

use std::sync::Arc;

use crate::domain::{Catalogue, Event, Knobs, Request, RequestContext};
use crate::features::StateStore;

/// The context in which the listener chose: the state as it is now, the clock and the device of the event.
pub(super) fn context(state: &StateStore, event: &Event, catalogue: &Catalogue) -> RequestContext {
    let request = Request::before(event, catalogue);
    let mut context = RequestContext::new(Arc::new(request), Knobs::default());
    context.session = state.session(&event.session_id, event.ts_ms);
    context.profile = state.profile(&event.user_id);
    context
}

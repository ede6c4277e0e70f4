//! Methods of the image management service.

use super::Call;
use crate::host::image_service::{self, ChangesQuery};
use crate::host::refusal::Answer;
use crate::wire::arguments;

pub(super) fn setting_data(call: &Call<'_>) -> Answer {
    image_service::setting_data(call.core, &arguments::text(call.arguments, "Path")?)
}

pub(super) fn state(call: &Call<'_>) -> Answer {
    image_service::state(call.core, &arguments::text(call.arguments, "Path")?)
}

pub(super) fn changes(call: &Call<'_>) -> Answer {
    let query = ChangesQuery {
        path: arguments::text(call.arguments, "Path")?,
        limit_id: arguments::text(call.arguments, "LimitId")?,
        target_snapshot: arguments::text(call.arguments, "TargetSnapshotId")?,
        offset: arguments::number(call.arguments, "ByteOffset")?,
        length: arguments::number(call.arguments, "ByteLength")?,
    };
    image_service::changes(call.core, &query, call.fault.clone())
}

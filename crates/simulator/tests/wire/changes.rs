//! Change tracking over the wire: what is reported covers what was written, and lost tracking is told.

use proptest::prelude::{ProptestConfig, prop_assert, proptest};
use proptest::test_runner::TestCaseError;
use simulator::SimVmId;

use crate::support::{Lab, MIB, covers, rct_id, reference};

const CAPACITY: u64 = 64 * MIB;
const FROZEN: &str = r"C:\VMs\SQL01\Virtual Hard Disks\sql01.vhdx";

/// A full backup's calls, without the reading: checkpoint, reference point, merge.
async fn backed_up(lab: &Lab, vm: SimVmId) -> String {
    let checkpoint = lab.checkpoint(vm).await;
    let point = lab.convert(&checkpoint).await;
    lab.merged(vm).await;
    rct_id(&point)
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_those_between_two_checkpoints() {
    let (lab, vm) = Lab::with_vm().await;
    let guest = lab.host.guest(vm).unwrap();
    guest.write(0, 0, &[1; 8192]).unwrap();
    let first = lab.checkpoint(vm).await;
    // Written while the checkpoint exists, so after its instant: a change for the next backup.
    guest.write(0, 10 * MIB, &[2; 512]).unwrap();
    let id = rct_id(&lab.convert(&first).await);
    lab.merged(vm).await;
    guest.write(0, 20 * MIB + 512, &[3; 512]).unwrap();

    let second = lab.checkpoint(vm).await;
    guest.write(0, 30 * MIB, &[4; 512]).unwrap();
    let frozen = lab.disk_files(&second).await.remove(0);
    let changes = lab.changes(&frozen, &id, CAPACITY).await;
    assert_eq!(changes, [10 * MIB..10 * MIB + 16384, 20 * MIB..20 * MIB + 16384]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_written_is_no_range_and_no_error() {
    let (lab, vm) = Lab::with_vm().await;
    let id = backed_up(&lab, vm).await;
    lab.checkpoint(vm).await;
    assert_eq!(lab.changes(FROZEN, &id, CAPACITY).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_id_still_reports_everything_since() {
    let (lab, vm) = Lab::with_vm().await;
    let guest = lab.host.guest(vm).unwrap();
    let oldest = backed_up(&lab, vm).await;
    guest.write(0, 0, &[1; 512]).unwrap();
    let newer = backed_up(&lab, vm).await;
    guest.write(0, MIB, &[1; 512]).unwrap();
    lab.checkpoint(vm).await;
    assert_eq!(lab.changes(FROZEN, &newer, CAPACITY).await, std::slice::from_ref(&(MIB..MIB + 16384)));
    assert_eq!(lab.changes(FROZEN, &oldest, CAPACITY).await, [0..16384, MIB..MIB + 16384]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_ranges_come_in_several_answers() {
    let (lab, vm) = Lab::with_vm().await;
    let guest = lab.host.guest(vm).unwrap();
    let id = backed_up(&lab, vm).await;
    // Every other unit of 1 GiB would be 32768 ranges; 64 MiB hold 2048, below the limit of one answer.
    for unit in (0..CAPACITY / 16384).step_by(2) {
        guest.write(0, unit * 16384, &[1; 512]).unwrap();
    }
    lab.checkpoint(vm).await;
    assert_eq!(lab.changes(FROZEN, &id, CAPACITY).await.len(), 2048);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_beyond_the_disk_is_an_invalid_parameter() {
    let (lab, vm) = Lab::with_vm().await;
    let id = backed_up(&lab, vm).await;
    lab.checkpoint(vm).await;
    let code = |offset, length| {
        let (lab, id) = (&lab, &id);
        async move { lab.changes_call(FROZEN, id, offset, length).await.return_value }
    };
    assert_eq!(code(0, CAPACITY).await, 0);
    assert_eq!(code(0, CAPACITY + 1).await, 32773);
    assert_eq!(code(CAPACITY, 512).await, 32773);
    assert_eq!(code(0, 0).await, 32773);
    assert_eq!(code(u64::MAX, 512).await, 32773);
}

/// The text of the job by which the host tells that it cannot say what changed.
async fn refusal(lab: &Lab, id: &str) -> String {
    let output = lab.changes_call(FROZEN, id, 0, CAPACITY).await;
    assert_eq!(output.return_value, 4096);
    let job = lab.job_end(&output.values.get_reference("Job").unwrap()).await;
    assert_eq!((job.class.as_str(), job.get_u16("JobState").unwrap()), ("Msvm_StorageJob", 10));
    job.get_str("ErrorDescription").unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_without_its_reference_point_is_refused() {
    let (lab, vm) = Lab::with_vm().await;
    let id = backed_up(&lab, vm).await;
    assert_eq!(lab.host.forget_reference_points(vm).unwrap(), 1);
    lab.checkpoint(vm).await;
    assert!(refusal(&lab, &id).await.ends_with("(0xC03A0029)."));
    assert!(refusal(&lab, "rctX:no").await.ends_with("(0xC03A0029)."));
    assert_eq!(lab.query("select * from Msvm_VirtualSystemReferencePoint").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_tracking_leaves_reference_points_that_are_worth_nothing() {
    let (lab, vm) = Lab::with_vm().await;
    let id = backed_up(&lab, vm).await;
    lab.host.invalidate_change_tracking(vm, 0).unwrap();
    assert!(refusal(&lab, &id).await.ends_with("(0xC03A0030)."));
    assert_eq!(lab.query("select * from Msvm_VirtualSystemReferencePoint").await.len(), 1);
    lab.checkpoint(vm).await;
    assert!(refusal(&lab, &id).await.ends_with("(0xC03A0029)."), "a new history has begun");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destroyed_reference_point_is_gone() {
    let (lab, vm) = Lab::with_vm().await;
    let checkpoint = lab.checkpoint(vm).await;
    let point = lab.convert(&checkpoint).await;
    let service = "Msvm_VirtualSystemReferencePointService";
    let arguments = vec![("AffectedReferencePoint", reference(&point).into())];
    let job = lab.job(service, "DestroyReferencePoint", arguments).await;
    assert_eq!(job.get_u16("JobState").unwrap(), 7);
    assert_eq!(lab.host.leftovers(vm).unwrap().reference_points.len(), 0);
}

/// Random writes around random backups: at each of them the reported ranges cover every byte that really differs,
/// and the frozen file holds what the write log says.
async fn reported_covers_true(writes: Vec<(u64, u16, u8)>, backups: usize) -> Result<(), TestCaseError> {
    let (lab, vm) = Lab::with_vm().await;
    let guest = lab.host.guest(vm).unwrap();
    let mut last_id = backed_up(&lab, vm).await;
    let mut last_moment = lab.host.moments(vm).unwrap()[0].checkpoint;
    for round in writes.chunks(writes.len().div_ceil(backups)) {
        let (before, during) = round.split_at(round.len() / 2);
        let write = |writes: &[(u64, u16, u8)]| {
            for &(sector, sectors, value) in writes {
                guest.write(0, sector * 512, &vec![value; usize::from(sectors) * 512]).unwrap();
            }
        };
        write(before);
        let checkpoint = lab.checkpoint(vm).await;
        write(during);
        let moment = lab.host.moments(vm).unwrap().last().unwrap().checkpoint;
        let reported = lab.changes(FROZEN, &last_id, CAPACITY).await;
        let now = lab.host.expected(vm, 0, Some(moment)).unwrap();
        let then = lab.host.expected(vm, 0, Some(last_moment)).unwrap();
        for change in now.changed_since(&then).unwrap() {
            prop_assert!(covers(&reported, &change), "{change:?} is not in {reported:?}");
        }
        prop_assert!(now.first_difference(&lab.open(FROZEN)).unwrap().is_none());
        last_id = rct_id(&lab.convert(&checkpoint).await);
        last_moment = moment;
        lab.merged(vm).await;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(8) })]

    #[test]
    fn reported_changes_cover_true_changes(
        writes in proptest::collection::vec((0_u64..CAPACITY / 512 - 64, 1_u16..64, 0_u8..4), 4..40),
        backups in 1_usize..4,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(reported_covers_true(writes, backups))?;
    }
}

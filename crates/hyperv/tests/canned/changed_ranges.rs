//! Changed ranges: windows, envelopes, and answers that cannot be believed.

use hyperv::RctId;
use vdisk::{ByteRange, ChangedRanges};
use winremote::cim::Instance;
use winremote::wsman::{Fault, Output, code};

use crate::support::{BASE, Canned, RCT, World};

const GIB: u64 = 1 << 30;
const METHOD: &str = "GetVirtualDiskChanges";

/// Asks a host that answers with `answer` for the changes of a 40 GiB disk.
async fn changes(
    answer: impl Fn(&mut World, &Instance) -> Result<Output, Fault> + Send + Sync + 'static,
) -> (hyperv::Result<ChangedRanges>, Vec<ByteRange>) {
    let (host, world) = Canned::new(Vec::new()).on(METHOD, answer).connect().await;
    let found = host.changed_ranges(BASE, &RctId::new(RCT).unwrap(), 40 * GIB).await;
    let windows = world.lock().unwrap().calls_of(METHOD).iter().map(window).collect();
    (found, windows)
}

fn window(asked: &Instance) -> ByteRange {
    ByteRange::at(asked.get_u64("ByteOffset").unwrap(), asked.get_u64("ByteLength").unwrap())
}

fn output(processed: u64, ranges: &[ByteRange]) -> Output {
    Output::new(0)
        .with("ProcessedByteLength", processed)
        .with("ChangedByteOffsets", ranges.iter().map(|range| range.start).collect::<Vec<_>>())
        .with("ChangedByteLengths", ranges.iter().map(ByteRange::len).collect::<Vec<_>>())
}

/// An honest host: the part of `truth` that is in the first `most` bytes of the window.
fn honest(asked: &Instance, truth: &[ByteRange], most: u64) -> Output {
    let window = window(asked);
    let seen = ByteRange::at(window.start, window.len().min(most));
    let ranges: Vec<_> =
        truth.iter().map(|range| range.intersect(seen)).filter(|range| !range.is_empty()).collect();
    output(seen.len(), &ranges)
}

const TRUTH: [ByteRange; 4] = [
    ByteRange::at(0, 4096),
    ByteRange::at(16 * GIB - 512, 1024),
    ByteRange::at(20 * GIB, GIB),
    ByteRange::at(40 * GIB - 512, 512),
];

#[tokio::test]
async fn a_disk_is_asked_for_in_windows_smaller_than_itself() {
    let (found, windows) = changes(|_, asked| Ok(honest(asked, &TRUTH, u64::MAX))).await;
    assert_eq!(found.unwrap(), ChangedRanges::from_ranges(TRUTH));
    let expected = [(0, 16), (16, 16), (32, 8)].map(|(at, length)| ByteRange::at(at * GIB, length * GIB));
    assert_eq!(windows, expected);
}

#[tokio::test]
async fn the_question_names_the_file_as_the_host_does_and_the_id_as_it_was_given() {
    let (host, world) =
        Canned::new(Vec::new()).on(METHOD, |_, asked| Ok(honest(asked, &[], u64::MAX))).connect().await;
    host.changed_ranges(BASE, &RctId::new(RCT).unwrap(), 1 << 20).await.unwrap();
    let calls = world.lock().unwrap().calls_of(METHOD);
    assert_eq!((calls[0].get_str("Path").unwrap(), calls[0].get_str("LimitId").unwrap()), (BASE, RCT));
    assert_eq!(calls[0].get_str("TargetSnapshotId").unwrap(), "");
    assert!(calls[0].get_u64("ByteLength").unwrap() < 1 << 20, "even a small disk is asked for in parts");
}

#[tokio::test]
async fn a_host_that_processes_less_than_asked_is_asked_on() {
    let (found, windows) = changes(|_, asked| Ok(honest(asked, &TRUTH, 7 * GIB))).await;
    assert_eq!(found.unwrap(), ChangedRanges::from_ranges(TRUTH));
    assert_eq!(windows.iter().map(|window| window.start / GIB).collect::<Vec<_>>(), [0, 7, 14, 21, 28, 35]);
}

#[tokio::test]
async fn windows_are_halved_while_replies_do_not_fit() {
    let (found, windows) = changes(|_, asked| match window(asked).len() {
        length if length > 4 * GIB => Err(Fault::new(code::MAX_ENVELOPE_SIZE)),
        _ => Ok(honest(asked, &TRUTH, u64::MAX)),
    })
    .await;
    assert_eq!(found.unwrap(), ChangedRanges::from_ranges(TRUTH));
    assert_eq!(windows.iter().take(3).map(|window| window.len() / GIB).collect::<Vec<_>>(), [16, 8, 4]);
}

/// The server half counts bytes itself: 20,000 ranges do not fit 512,000 bytes.
#[tokio::test]
async fn a_reply_over_the_real_envelope_limit_leads_to_smaller_windows() {
    let truth: Vec<_> = (0..20_000).map(|index| ByteRange::at(index * 2 * (1 << 20), 1 << 16)).collect();
    let told = truth.clone();
    let (found, windows) = changes(move |_, asked| Ok(honest(asked, &told, u64::MAX))).await;
    assert_eq!(found.unwrap(), ChangedRanges::from_ranges(truth));
    assert!((4..40).contains(&windows.len()), "{} calls", windows.len());
}

#[tokio::test]
async fn a_host_that_gets_nowhere_is_not_asked_forever() {
    let (found, windows) = changes(|_, _| Ok(output(0, &[]))).await;
    assert_eq!((found.unwrap_err().code(), windows.len()), ("HV-031", 1));
    let (found, windows) = changes(|_, _| Err(Fault::new(code::MAX_ENVELOPE_SIZE_EXCEEDED))).await;
    assert_eq!(found.unwrap_err().code(), "HV-031");
    assert!(windows.len() < 20, "{} calls", windows.len());
}

#[tokio::test]
async fn ranges_outside_of_the_disk_or_the_question_are_not_believed() {
    for range in [ByteRange::at(40 * GIB - 1, 2), ByteRange::at(39 * GIB, 512)] {
        let (found, _) = changes(move |_, asked| Ok(output(window(asked).len(), &[range]))).await;
        let error = found.unwrap_err();
        assert_eq!(error.code(), "HV-031", "{error}");
    }
}

#[tokio::test]
async fn an_id_that_is_no_longer_known_says_why_the_disk_is_read_in_full() {
    let (found, _) = changes(|_, _| Ok(Output::new(32768))).await;
    let error = found.unwrap_err();
    assert_eq!((error.code(), error.retry()), ("HV-030", hyperv::Retry::No));
    let text = "The change tracking identifier is not valid. (0xC03A0029)";
    let (found, _) = changes(move |_, _| Err(Fault::wmi(code::WBEM_FAILED, text))).await;
    let error = found.unwrap_err();
    assert_eq!(error.code(), "HV-030");
    assert!(error.to_string().contains("0xC03A0029"), "{error}");
}

#[tokio::test]
async fn an_answer_as_a_job_is_waited_for() {
    let (found, _) = changes(|world, asked| {
        let ranges = honest(asked, &TRUTH, u64::MAX).values;
        let mut answer = world.job(7);
        for name in ["ProcessedByteLength", "ChangedByteOffsets", "ChangedByteLengths"] {
            answer = answer.with(name, ranges.get(name).unwrap().clone());
        }
        Ok(answer)
    })
    .await;
    assert_eq!(found.unwrap(), ChangedRanges::from_ranges(TRUTH));
    let (found, _) = changes(|world, _| Ok(world.job(7))).await;
    assert_eq!(found.unwrap_err().code(), "HV-015", "a job whose ranges are nowhere");
}

#[tokio::test]
async fn a_failed_job_is_about_change_tracking_only_when_its_number_says_so() {
    for (text, code) in [("Disabled. (0xC03A002A)", "HV-030"), ("In use. (0x80070020)", "HV-013")] {
        let (found, _) = changes(move |world, _| {
            let answer = world.job(10);
            world.rows.last_mut().unwrap().set("ErrorDescription", text);
            Ok(answer)
        })
        .await;
        let error = found.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
}

#[tokio::test]
async fn a_denied_answer_is_not_taken_for_lost_tracking() {
    let (found, _) = changes(|_, _| Ok(Output::new(32769))).await;
    assert_eq!(found.unwrap_err().code(), "HV-012");
}

//! Records of instances, from any program.

use super::*;

fn record() -> InstanceRecord {
    let host = HostIdentity { hostname: "h".into(), boot_id: "b".into(), pid_namespace: 1, pid: 7, started_ticks: 1 };
    InstanceRecord {
        id: "00ff".into(),
        name: "h-windlass:7".into(),
        queues: "*".into(),
        former_queues: vec!["a".into()],
        host,
        processors: 2,
        lease_ms: 15_000,
        periodic: vec!["clean".into()],
        version: "1".into(),
        halt: None,
        tasks: None,
        skipped: Vec::new(),
        stuck: None,
        reload_refused: None,
        queues_given: false,
    }
}

fn read(text: &str) -> Result<InstanceRecord, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

#[test]
fn a_registration_is_read_within_its_bounds() {
    let text = serde_json::to_string(&record()).unwrap();
    assert_eq!(read(&text), Ok(record()));
    for (from, to, said) in [
        ("\"processors\":2", "\"processors\":10000000000", "10000000000 processors"),
        ("\"processors\":2", "\"processors\":18446744073709551616", "expected usize"),
        ("\"processors\":2", "\"processors\":-1", "expected usize"),
        ("\"lease_ms\":15000", "\"lease_ms\":18446744073709551615", "its lease is"),
        ("\"lease_ms\":15000", "\"lease_ms\":0", "its lease is"),
        ("\"lease_ms\":15000", "\"lease_ms\":999", "its lease is"),
        ("\"id\":\"00ff\"", "\"id\":\"\"", "its id is empty"),
        ("\"pid\":7", "\"pid\":4294967296", "expected u32"),
    ] {
        let error = read(&text.replace(from, to)).unwrap_err();
        assert!(error.contains(said), "{to}: {error}");
    }
    let many = InstanceRecord { former_queues: vec![String::new(); 100], ..record() };
    assert!(read(&serde_json::to_string(&many).unwrap()).unwrap_err().contains("lists of queues"));
}

#[test]
fn what_is_remembered_can_be_read_again() {
    for processors in [1, 4_000, MAX_PROCESSORS] {
        let mut record = InstanceRecord { processors, ..record() };
        for turn in 0..300 {
            record.change_queues(format!("q{turn}"));
        }
        assert_eq!((record.queues.as_str(), record.former_queues.last().unwrap().as_str()), ("q299", "q298"));
        assert_eq!(read(&serde_json::to_string(&record).unwrap()), Ok(record));
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_break_the_reader(raw in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = serde_json::from_slice::<InstanceRecord>(&raw);
    }

    #[test]
    fn no_change_to_a_registration_makes_more_workers_than_there_may_be(
        at in 0usize..300, cut in 0usize..8, with in "[0-9e.,:\"\\[\\]{}-]{0,12}"
    ) {
        let mut raw = serde_json::to_vec(&record()).unwrap();
        let at = at.min(raw.len());
        let end = (at + cut).min(raw.len());
        raw.splice(at..end, with.bytes());
        if let Ok(record) = serde_json::from_slice::<InstanceRecord>(&raw) {
            proptest::prop_assert!(record.workers().len() <= MAX_WORKER_NAMES);
        }
    }
}

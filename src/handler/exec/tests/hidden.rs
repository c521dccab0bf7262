//! What `log.redact` hides in the output of a program.

use super::*;
use crate::config::model::OutputConfig;

/// Prints the secret over the cut of a long line, on the line behind its key, over an overwritten line and as one of a tuple.
const SCRIPT: &str = r#"
printf '%16372s"password": "hunter2", "b": 1\n' ''
printf '{\n  "password":\n    "hunter2"\n}\n' >&2
printf '"password":\r"hunter2"\n' >&2
printf '"password": ("u", "hunter2")\n' >&2
printf '{"password": "hunter2"}\n'
exit 3
"#;

#[tokio::test]
async fn what_a_program_prints_is_hidden_for_all_who_see_it() {
    let mut scene = scene(SCRIPT);
    for mode in [OutputMode::Log, OutputMode::File] {
        scene.spec.output = mode;
        let (bus, listeners) = Bus::new(&[EventKind::Output.bit()], 1 << 20);
        bus.hide(&["password".to_owned()]);
        let folder = scene.folder.path().join("kept");
        let age = Duration::from_secs(3600);
        let config = OutputConfig { folder: folder.clone(), run: 1 << 20, total: 1 << 20, age, trusted: None };
        let kept = KeptOutputs::new(config, bus.clone());
        let exec = Exec::new(scene.spec.clone(), bus, Some(kept));
        let (outcome, _stop) = begin(&exec, invocation("[]"));
        let Outcome::Failure(failure) = timeout(Duration::from_secs(60), outcome).await.unwrap() else {
            panic!("it exits with 3")
        };
        let record = format!("{failure:?}");
        let logged = format!("{:?}", lines(&listeners[0]));
        let files = fs::read_dir(&folder).into_iter().flatten();
        let kept: String = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect();
        for (what, told) in [("record", &record), ("log", &logged), ("file", &kept)] {
            assert!(!told.contains("unter") && !told.contains("ter2"), "{what}: {told}");
        }
        assert!(record.contains("[redacted]"), "{record}");
        let told = if mode == OutputMode::Log { &logged } else { &kept };
        assert!(told.contains("[redacted]") && told.trim_end().len() > 16_372, "{told}");
    }
    // The result is what the job is asked for.
    scene = self::scene("printf '{\"password\": \"hunter2\"}\\n'");
    scene.spec.result = ResultMode::LastLine;
    let bus = Bus::silent();
    bus.hide(&["password".to_owned()]);
    let (outcome, _stop) = begin(&Exec::new(scene.spec.clone(), bus, None), invocation("[]"));
    let outcome = timeout(Duration::from_secs(60), outcome).await.unwrap();
    assert!(matches!(&outcome, Outcome::Success { result: Some(result) } if result.contains("hunter2")), "{outcome:?}");
}

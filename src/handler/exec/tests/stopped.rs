//! What a run leaves that was stopped.

use super::*;

#[tokio::test]
async fn a_stopped_run_that_said_nothing_on_stderr_leaves_the_end_of_its_stdout() {
    for (script, expected) in [
        ("seq 1 1000; echo $$ > next; mv next pid; exec sleep 60", [STDOUT_FOLLOWS, "970", "1000"]),
        ("echo out; echo oops >&2; echo more; echo $$ > next; mv next pid; exec sleep 60", ["oops", "oops", "oops"]),
    ] {
        let scene = scene(script);
        let (run, stop, _) = ready(&scene, "pid").await;
        stop.send(Stop::Terminate).unwrap();
        let Outcome::Stopped { tail } = timeout(Duration::from_secs(30), run).await.unwrap().unwrap() else {
            panic!("it said something")
        };
        let [first, second, last] = expected;
        assert_eq!((tail.first(), tail.last()), (Some(&first.to_owned()), Some(&last.to_owned())), "{tail:?}");
        assert!(tail.len() <= 33 && tail.iter().any(|line| line == second), "{tail:?}");
    }
}

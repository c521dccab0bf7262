//! Programs that cannot run, and programs without stdin.

use super::*;

#[tokio::test]
async fn a_program_that_is_to_have_no_stdin_reads_nothing_and_has_the_job_elsewhere() {
    let mut scene = scene("readlink /proc/self/fd/0 > got; cat >> got; echo \"$WINDLASS_ARGS\" >> got");
    scene.spec.stdin = StdinMode::Nothing;
    assert_eq!(scene.run("[1]").await, DONE);
    assert_eq!(scene.read("got"), "/dev/null\n[1]\n");
}

#[tokio::test]
async fn a_script_of_windows_fails_with_what_to_type() {
    let scene = scene("true");
    write(scene.folder.path(), "job", "#!/usr/bin/env sh\r\ntrue\r\n");
    let failure = scene.fail("[]").await;
    assert!(failure.error.contains("exited with 127: ") && failure.error.contains("sed -i 's/\\r$//'"), "{failure:?}");
    write(scene.folder.path(), "job", "#!/bin/sh\r\ntrue\r\n");
    let Outcome::Unstarted { failure, .. } = scene.run("[]").await else { panic!("it may pass") };
    assert!(failure.error.contains("CR LF") && failure.error.contains("sed -i 's/\\r$//'"), "{failure:?}");
}

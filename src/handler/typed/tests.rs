use super::*;
use crate::event::Event;
use crate::handler::fixture::{begin, invocation};

#[derive(serde::Deserialize)]
struct Inputs {
    name: String,
    #[serde(default)]
    times: u32,
}

async fn greet(_: Context, Json(inputs): Json<Inputs>) -> Result<String, std::fmt::Error> {
    Ok(format!("Hello, {}!", inputs.name).repeat(inputs.times.max(1) as usize))
}

async fn perform<F: Performs<Args>, Args: 'static>(function: F, args: &str) -> Outcome {
    begin(&Typed::new(Arc::new(function), Bus::silent()), invocation(args)).0.await
}

fn success(text: &str) -> Outcome {
    Outcome::Success { result: Some(text.to_owned()) }
}

#[tokio::test]
async fn a_function_gets_its_arguments_by_type() {
    assert_eq!(perform(greet, r#"[{"name":"Ada","times":2}]"#).await, success("Hello, Ada!Hello, Ada!"));
    let add = |_: Context, Json((a, b)): Json<(i64, i64)>| async move { Ok::<_, std::fmt::Error>(a + b) };
    assert_eq!(perform(add, "[1,2]").await, success("3"));
    let none = |_: Context, Json(rest): Json<Option<Inputs>>| async move { Ok::<_, String>(rest.is_none()) };
    assert_eq!(perform(none, "[]").await, success("true"));
    assert_eq!(perform(|_: Context| async { Ok::<_, String>(()) }, "[7]").await, Outcome::Success { result: None });
}

#[tokio::test]
async fn arguments_that_do_not_fit_fail_the_job_by_name() {
    for args in ["[5]", "[]", "[{}]", "[1,2]"] {
        let Outcome::Failure(failure) = perform(greet, args).await else { panic!("{args}") };
        assert_eq!(failure.exception, "ArgumentError", "{args}");
        assert!(failure.error.starts_with("the arguments do not fit: "), "{}", failure.error);
    }
}

#[tokio::test]
async fn an_error_is_the_failure_named_after_its_type() {
    let fails = |_: Context| async { "x".parse::<i32>() };
    let Outcome::Failure(failure) = perform(fails, "[]").await else { panic!("it must fail") };
    assert_eq!((&*failure.exception, &*failure.error), ("ParseIntError", "invalid digit found in string"));
}

#[tokio::test]
async fn a_function_may_ask_for_another_run() {
    let later = |context: Context| async move {
        context.retry_later(Duration::from_secs(3));
        Err::<(), _>("busy")
    };
    assert_eq!(perform(later, "[]").await, Outcome::Later { delay: Duration::from_secs(3), tail: Vec::new() });
}

#[tokio::test]
async fn a_stopped_function_may_finish_and_is_dropped_at_the_kill() {
    let tidy = |context: Context| async move {
        let stop = context.stopped().await;
        Ok::<_, String>(format!("{stop:?}"))
    };
    let (outcome, stop) = begin(&Typed::new(Arc::new(tidy), Bus::silent()), invocation("[]"));
    stop.send_replace(Stop::Terminate);
    assert_eq!(outcome.await, success("Terminate"));

    let gives_up = |context: Context| async move {
        context.stopped().await;
        Err::<(), _>("half done")
    };
    let (outcome, stop) = begin(&Typed::new(Arc::new(gives_up), Bus::silent()), invocation("[]"));
    stop.send_replace(Stop::Terminate);
    assert_eq!(outcome.await, Outcome::Interrupted, "the stop may be why it failed");

    let deaf = |_: Context| std::future::pending::<Result<(), String>>();
    let (outcome, stop) = begin(&Typed::new(Arc::new(deaf), Bus::silent()), invocation("[]"));
    stop.send_replace(Stop::Kill);
    assert_eq!(outcome.await, Outcome::Interrupted);
}

#[tokio::test]
async fn what_a_function_says_is_output_of_its_job() {
    let (bus, listeners) = Bus::new(&[EventKind::Output.bit()], 4096);
    let says = |context: Context| async move {
        context.progress(40, "halfway there");
        Ok::<_, String>(())
    };
    begin(&Typed::new(Arc::new(says), bus), invocation("[]")).0.await;
    let line = match listeners[0].try_next() {
        Some(Event::Output { line, .. }) => line,
        other => panic!("{other:?}"),
    };
    assert_eq!(line, "40%: halfway there");
}

#[test]
fn errors_about_arguments_hold_no_values() {
    let said = |args: &str| without_value(&serde_json::from_str::<u8>(args).unwrap_err());
    assert_eq!(said("\"hunter2, expected \\\"x\""), "invalid type: string, expected u8 at line 1 column 23");
    assert_eq!(said("70000"), "invalid value: integer, expected u8 at line 1 column 5");
    assert_eq!(said("[1]"), "invalid type: sequence, expected u8 at line 1 column 0");
    #[derive(Debug, serde::Deserialize)]
    enum Colour {
        Red,
    }
    let error = serde_json::from_str::<Colour>("\"hunter2\"").map(|_| Colour::Red).unwrap_err();
    assert_eq!(without_value(&error), "unknown variant, expected `Red` at line 1 column 9");
}

//! The dashboard: pages for people, in the binary, made by the server.
//!
//! ```text
//!   request --> guards, as for the API --> page: Visit --> admin, client --> template --> escape: hidden, escaped --> answer
//!                                          form: Visit, Form --> what the API does --> a page that says what came of it
//! ```
//!
//! **A page is** one file in `pages/`, one template in `templates/`, and one line in [`routes`]; one more in `places` if it belongs in
//! the rail. The file has a struct for the template, with a [`page::Shell`], and a function from a [`visit::Visit`] to an answer by
//! [`page::answer`]. The template extends `layout.html` and fills the block `page`; its parts come from `parts.html`. Names go into
//! links by [`words::encoded`], times through [`words::Time`].
//!
//! **A form is** a POST to a route of its own, whose role is that of the API's route, and ends in [`forms::done`] or
//! [`forms::not_done`]. What who looks may not do ([`visit::Visit::may`]) has no button. What cannot be undone stands in a `<details>`
//! that says how much it is about. Both do what the API does, by the same functions.
//!
//! **Without a script** everything works. With it, `main` is read again when something happened ([`page::Shell::live`] says what)
//! and morphed, but not while something in it is ticked, open or focused. A page costs as much as its route in the API, and no
//! template prints anything but through [`escape`]. There are no inline scripts or styles, which the policy of every answer forbids and
//! a test holds.

mod assets;
mod chart;
mod diff;
mod escape;
mod flash;
mod forms;
mod json;
mod login;
mod page;
mod pages;
mod places;
mod refused;
mod visit;
mod words;

use axum::routing::{get, post};

use super::route::Route;
pub(super) use pages::overview;
use pages::{failed, failed_job, operation, queue, queues};
pub(super) use refused::Asked;

/// The routes of all pages. That of the overview is `GET /`, which programs have as well.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::open("GET /static/{hash}/{name}", get(assets::show)),
        Route::open("GET /login", get(login::show)),
        Route::open("POST /login", post(login::begin)),
        Route::open("POST /logout", post(login::end)),
        Route::read("GET /queues", get(queues::show)),
        Route::operate("POST /pause", post(queues::pause_all)),
        Route::operate("POST /resume", post(queues::resume_all)),
        Route::records("GET /queues/{queue}", get(queue::show)),
        Route::operate("POST /queues/{queue}/pause", post(queues::pause)),
        Route::operate("POST /queues/{queue}/resume", post(queues::resume)),
        Route::admin("POST /queues/{queue}/clear", post(queues::remove)),
        Route::admin("POST /queues/{queue}/remove", post(queue::remove)),
        Route::records("GET /failed", get(failed::show)),
        Route::operate("POST /failed/retry", post(failed::retry_ticked)),
        Route::admin("POST /failed/remove", post(failed::remove_ticked)),
        Route::operate("POST /failed/count", post(failed::count)),
        Route::operate("POST /failed/all", post(failed::change_all)),
        Route::records("GET /failed/{id}", get(failed_job::show)),
        Route::records("GET /failed/{id}/edit", get(failed_job::edit)),
        Route::operate("POST /failed/{id}/edit", post(failed_job::preview)),
        Route::operate("POST /failed/{id}/retry", post(failed_job::retry)),
        Route::admin("POST /failed/{id}/remove", post(failed_job::remove)),
        Route::read("GET /operations/{id}", get(operation::show)),
        Route::operate("POST /operations/{id}/stop", post(operation::stop)),
    ]
}

//! Tests of the crate through its public doors, and of the sources' own rules.

#[cfg(test)]
mod app_answers;
#[cfg(test)]
mod app_catalogue;
#[cfg(test)]
mod app_concurrency;
#[cfg(test)]
mod app_events;
#[cfg(test)]
mod app_fuzz;
#[cfg(test)]
mod app_ladder;
#[cfg(test)]
mod app_listeners;
#[cfg(test)]
mod app_next_tracks;
#[cfg(test)]
mod app_support;
#[cfg(test)]
mod app_wiring;
mod config;
#[cfg(test)]
mod http_bad_input;
#[cfg(test)]
mod http_events;
#[cfg(test)]
mod http_fuzz;
#[cfg(test)]
mod http_protocol;
#[cfg(test)]
mod http_server;
#[cfg(test)]
mod http_support;
mod layering;
mod sources;

//! The real binary, met as a user meets it: one file a story.
#![allow(missing_docs, reason = "a test binary has no readers of its documentation")]

mod bad_config;
mod bad_folder;
mod bad_input;
mod chromium;
mod claims;
mod crash;
mod disk;
mod documents;
mod faults;
mod hello;
mod isolation;
mod quickstart;
mod real_model;
mod scene;
mod seed;
mod setup;
mod slash;
mod squatters;
mod stream;
mod support;
mod talk;
mod tools;
mod turn;
mod users;
mod views;
mod wire;
mod words;

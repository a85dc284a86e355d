//! The embedded store from outside: what is confirmed stays, in order, once, whatever happens.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod basic;
mod chaos;
mod conformance;
mod creation;
mod damage;
mod disk;
mod faults;
mod kill;
mod leases;
mod model;
mod order;
mod power;
mod socket;
mod space;
mod support;

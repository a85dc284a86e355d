//! The cases, one file a section.

mod close;
mod content;
mod delay;
mod depth;
mod lease;
mod life;
mod load;
mod order;
mod publish;
mod receive;
mod sample;
mod select;
mod settle;
mod swarm;

use crate::suite::Case;

/// Every case, section by section.
#[must_use]
pub fn cases() -> Vec<Case> {
    let sections = [
        content::CASES,
        publish::CASES,
        receive::CASES,
        settle::CASES,
        lease::CASES,
        order::CASES,
        delay::CASES,
        select::CASES,
        depth::CASES,
        close::CASES,
        life::CASES,
    ];
    sections.concat()
}

/// The table of a section: name, function, needs, and what must hold.
macro_rules! table {
    ($section:literal: $($name:literal $run:ident [$($need:ident),*] $about:literal;)+) => {
        pub(super) const CASES: &[$crate::suite::Case] = &[$($crate::suite::Case {
            section: $section,
            name: $name,
            about: $about,
            needs: &[$($crate::suite::Need::$need),*],
            run: |bed| Box::pin($run(bed)),
        }),+];
    };
}

use table;

//! The container core: create, clone, snapshot, restore, rename and destroy on any store.

//! How settings are declared: once, with type, default and documentation. The declaration gives
//! the struct, its reader and its part of the documented default file.

/// Declares a section: a struct, its defaults, its reader and its documentation in one place.
/// A field without a default is required.
macro_rules! settings {
    (
        $(#[doc = $about:literal])+
        pub struct $name:ident expects $expects:literal {
            $( $(#[doc = $doc:literal])+ $field:ident : $type:ty $(= $default:expr)? ),+ $(,)?
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $( $(#[doc = $doc])+ pub $field: $type, )+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $crate::config::declare::default_of!($type $(, $default)?), )+ }
            }
        }

        impl $crate::config::setting::Section for $name {
            const ABOUT: &'static [&'static str] = &[$($about),+];

            fn read_fields(
                table: &$crate::config::tree::Table,
                path: &str,
                reader: &mut $crate::config::setting::Reader<'_>,
            ) -> Self {
                Self { $( $field: reader.field(
                    table,
                    path,
                    (
                        stringify!($field).trim_start_matches("r#"),
                        $crate::config::declare::is_required!($($default)?),
                    ),
                    || $crate::config::declare::default_of!($type $(, $default)?),
                ), )+ }
            }

            fn write_fields(&self) -> Vec<(String, $crate::config::setting::Written)> {
                use $crate::config::setting::Setting;
                vec![ $( (
                    stringify!($field).trim_start_matches("r#").to_owned(),
                    <$type as Setting>::write(&self.$field),
                ), )+ ]
            }

            fn declared() -> Vec<$crate::config::setting::Field> {
                use $crate::config::setting::{Field, Setting};
                vec![ $( Field {
                    name: stringify!($field).trim_start_matches("r#"),
                    doc: vec![$($doc),+],
                    required: $crate::config::declare::is_required!($($default)?),
                    default: <$type as Setting>::write(
                        &$crate::config::declare::default_of!($type $(, $default)?),
                    ),
                    expects: <$type as Setting>::EXPECTS,
                    schema: <$type as Setting>::schema,
                }, )+ ]
            }
        }

        impl $crate::config::setting::Setting for $name {
            const EXPECTS: &'static str = $expects;
            const IS_SECTION: bool = true;

            fn read(
                node: &$crate::config::tree::Node,
                path: &str,
                reader: &mut $crate::config::setting::Reader<'_>,
            ) -> Option<Self> {
                use $crate::config::setting::Section;
                let table = reader.table(node, path, Self::EXPECTS)?;
                let known: Vec<&str> = Self::declared().iter().map(|field| field.name).collect();
                reader.unknown_keys(table, path, &known);
                Some(Self::read_fields(table, path, reader))
            }

            fn write(&self) -> $crate::config::setting::Written {
                use $crate::config::setting::Section;
                $crate::config::setting::Written::Table(self.write_fields())
            }

            fn schema() -> serde_json::Value {
                use $crate::config::setting::Section;
                $crate::config::schema::object(Self::ABOUT, &Self::declared())
            }
        }
    };
}

/// The default of a field: the one declared, else that of its type.
macro_rules! default_of {
    ($type:ty) => {
        <$type as Default>::default()
    };
    ($type:ty, $default:expr) => {
        $default
    };
}

/// Whether a field has no declared default.
macro_rules! is_required {
    () => {
        true
    };
    ($default:expr) => {
        false
    };
}

/// Declares a setting that is one of several words.
macro_rules! choices {
    (
        $(#[doc = $about:literal])+
        pub enum $name:ident {
            $(#[doc = $first_doc:literal])+ $first:ident = $first_word:literal,
            $( $(#[doc = $doc:literal])+ $variant:ident = $word:literal ),+ $(,)?
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum $name {
            $(#[doc = $first_doc])+ #[default] $first,
            $( $(#[doc = $doc])+ $variant, )+
        }

        impl $name {
            /// The word in a configuration.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { Self::$first => $first_word, $( Self::$variant => $word, )+ }
            }
        }

        impl $crate::config::setting::Setting for $name {
            const EXPECTS: &'static str = concat!("\"", $first_word, "\"" $(, " or \"", $word, "\"")+);

            fn read(
                node: &$crate::config::tree::Node,
                path: &str,
                reader: &mut $crate::config::setting::Reader<'_>,
            ) -> Option<Self> {
                reader.parsed(node, path, Self::EXPECTS, |text| match text {
                    $first_word => Ok(Self::$first),
                    $( $word => Ok(Self::$variant), )+
                    other => {
                        let near = $crate::config::mistake::suggestion(other, [$first_word, $($word),+]);
                        Err(format!("unknown word {other:?}{near}"))
                    }
                })
            }

            fn write(&self) -> $crate::config::setting::Written {
                $crate::config::setting::Written::Leaf(self.as_str().into())
            }

            fn schema() -> serde_json::Value {
                let words = [$first_word, $($word),+];
                $crate::config::schema::text(serde_json::json!({ "enum": words }))
            }
        }
    };
}

pub(super) use {choices, default_of, is_required, settings};

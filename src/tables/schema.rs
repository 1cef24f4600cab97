//! Column types that the tables use.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are Arrow's")]
pub enum Type {
    Utf8,
    /// Text that repeats from row to row; a dictionary in memory.
    Words,
    Bool,
    Int8,
    Int32,
    Int64,
    Float32,
    ListUtf8,
    ListInt32,
    ListFloat32,
}

/// One column: name, type, whether it may be null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column(pub &'static str, pub Type, pub bool);

impl Column {
    /// A column that is always there.
    pub const fn required(name: &'static str, kind: Type) -> Self {
        Self(name, kind, false)
    }

    /// A column that may be null.
    pub const fn optional(name: &'static str, kind: Type) -> Self {
        Self(name, kind, true)
    }

    fn field(self) -> FieldRef {
        let list = |item| DataType::List(Arc::new(Field::new("element", item, false)));
        let kind = match self.1 {
            Type::Utf8 => DataType::Utf8,
            Type::Words => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            Type::Bool => DataType::Boolean,
            Type::Int8 => DataType::Int8,
            Type::Int32 => DataType::Int32,
            Type::Int64 => DataType::Int64,
            Type::Float32 => DataType::Float32,
            Type::ListUtf8 => list(DataType::Utf8),
            Type::ListInt32 => list(DataType::Int32),
            Type::ListFloat32 => list(DataType::Float32),
        };
        Arc::new(Field::new(self.0, kind, self.2))
    }
}

/// The Arrow fields of some columns.
pub(super) fn fields(columns: &[Column]) -> Vec<FieldRef> {
    columns.iter().map(|c| c.field()).collect()
}

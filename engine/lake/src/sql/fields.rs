//! Fields of structs: `place.town`, `stops[1].town`.

use arrow::datatypes::DataType;
use datafusion::sql::sqlparser::ast::{AccessExpr, Expr, Ident, ObjectName, Subscript};

use super::error::SqlError;
use super::scope::same;
use super::walk::{Clause, Walker};

impl Walker<'_> {
    /// `a.b[1].c['d']`: the names before the first bracket are a column and
    /// fields of it, as in `a.b`.
    pub(crate) fn field_access(
        &mut self,
        root: &mut Expr,
        chain: &mut Vec<AccessExpr>,
        clause: Clause,
        fields: &mut Vec<usize>,
    ) -> Result<(), SqlError> {
        let mut parts = match &*root {
            Expr::Identifier(ident) => vec![ident.clone()],
            Expr::CompoundIdentifier(parts) => parts.clone(),
            _ => {
                field_names(chain, None, fields);
                return Ok(());
            }
        };
        let own = parts.len();
        parts.extend(chain.iter().map_while(|access| match access {
            AccessExpr::Dot(Expr::Identifier(ident)) => Some(ident.clone()),
            _ => None,
        }));
        let dots = parts.len() - own;
        if parts.len() == 1 {
            self.identifier(root, clause)?;
        } else {
            self.compound(&mut parts)?;
            if parts.len() == own + dots {
                // The tree keeps its shape.
                write_back(root, chain, &parts);
            } else {
                chain.drain(..dots);
                *root = Expr::CompoundIdentifier(parts.clone());
            }
        }
        // It has been read: the visitor must not read it again.
        fields.push(std::ptr::from_ref(root).addr());
        let data_type = match &*root {
            Expr::Identifier(_) if dots == 0 => self.column_of(root).and_then(|c| c.data_type),
            _ => self.path_type(&parts),
        };
        let kept = chain.len().min(dots);
        for access in &chain[..kept] {
            if let AccessExpr::Dot(expr) = access {
                fields.push(std::ptr::from_ref(expr).addr());
            }
        }
        field_names(&mut chain[kept..], data_type, fields);
        Ok(())
    }

    /// The type of `qualifier.column.field`, after it has been rewritten.
    fn path_type(&self, parts: &[Ident]) -> Option<DataType> {
        for length in (1..parts.len()).rev() {
            let prefix = ObjectName::from(parts[..length].to_vec());
            let Some(relation) = self.relation_named(&prefix) else {
                continue;
            };
            let columns = relation.columns.matching(&parts[length].value);
            if let Some(column) = columns.first() {
                return field_type(column.data_type.as_ref(), &parts[length + 1..]).cloned();
            }
        }
        let column = self.column_of(&Expr::Identifier(parts.first()?.clone()))?;
        field_type(column.data_type.as_ref(), &parts[1..]).cloned()
    }
}

/// Rewrites names of fields to the spelling in the type of their struct, as far
/// as the type is known.
pub(crate) fn spell_fields(parts: &mut [Ident], data_type: Option<&DataType>) {
    let mut data_type = data_type;
    for part in parts {
        data_type = spell_field(part, data_type);
    }
}

fn spell_field<'t>(part: &mut Ident, data_type: Option<&'t DataType>) -> Option<&'t DataType> {
    let DataType::Struct(fields) = data_type? else {
        return None;
    };
    let exact = fields.iter().find(|field| *field.name() == part.value);
    let field = exact.or_else(|| fields.iter().find(|field| same(field.name(), &part.value)))?;
    part.value.clone_from(field.name());
    Some(field.data_type())
}

/// The type of a field of a field of a column.
fn field_type<'t>(data_type: Option<&'t DataType>, path: &[Ident]) -> Option<&'t DataType> {
    path.iter().fold(data_type, |data_type, part| {
        let DataType::Struct(fields) = data_type? else {
            return None;
        };
        let field = fields.iter().find(|field| *field.name() == part.value)?;
        Some(field.data_type())
    })
}

/// Writes the parts of a name back where they came from.
fn write_back(root: &mut Expr, chain: &mut [AccessExpr], parts: &[Ident]) {
    let mut parts = parts.iter().cloned();
    match root {
        Expr::Identifier(ident) => {
            if let Some(part) = parts.next() {
                *ident = part;
            }
        }
        Expr::CompoundIdentifier(own) => {
            for (ident, part) in own.iter_mut().zip(parts.by_ref()) {
                *ident = part;
            }
        }
        _ => {}
    }
    for (access, part) in chain.iter_mut().zip(parts) {
        if let AccessExpr::Dot(Expr::Identifier(ident)) = access {
            *ident = part;
        }
    }
}

/// Rewrites the fields of `root[1].field['key'].field`, and lists them so that
/// they are not read as columns.
fn field_names(chain: &mut [AccessExpr], root: Option<DataType>, fields: &mut Vec<usize>) {
    let mut data_type = root.as_ref();
    for access in chain {
        data_type = match access {
            AccessExpr::Dot(expr) => {
                fields.push(std::ptr::from_ref(expr).addr());
                match expr {
                    Expr::Identifier(ident) => spell_field(ident, data_type),
                    _ => None,
                }
            }
            AccessExpr::Subscript(Subscript::Index { .. }) => match data_type {
                Some(
                    DataType::List(item)
                    | DataType::LargeList(item)
                    | DataType::FixedSizeList(item, _),
                ) => Some(item.data_type()),
                _ => None,
            },
            AccessExpr::Subscript(Subscript::Slice { .. }) => data_type,
        };
    }
}

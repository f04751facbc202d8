//! Who may do what: the role that owns the store's tables changes them, others work with them.

use tokio_postgres::error::SqlState;

use super::address::Address;
use super::faults::code;
use super::schema::Found;
use super::session::Session;
use crate::store::StoreError;
use crate::store::sql::value::Row;
use crate::store::sql::{Connection as _, Fault, Outcome};

const OWN: &str = "SELECT CAST(current_user AS TEXT)";
const OWNER: &str = "
    SELECT CAST(pg_get_userbyid(relowner) AS TEXT), CASE WHEN pg_has_role(relowner, 'USAGE') THEN 1 ELSE 0 END
    FROM pg_class WHERE oid = to_regclass('farmctl_store')";

/// The owner of the store's tables.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Owner {
    name: String,
    /// Whether this connection may do what the owner may.
    is_own: bool,
}

fn owner(session: &Session) -> Outcome<Option<Owner>> {
    let mut owner = None;
    session.query(OWNER, &[], &mut |columns| {
        let row = Row(columns);
        owner = Some(Owner { name: row.get(0)?, is_own: row.get::<i64>(1)? == 1 });
        Ok(())
    })?;
    Ok(owner)
}

fn own(session: &Session) -> Outcome<String> {
    let mut own = String::new();
    session.query(OWN, &[], &mut |columns| {
        own = Row(columns).get(0)?;
        Ok(())
    })?;
    Ok(own)
}

/// Whether a step of the schema failed since it is another role's to take.
pub(super) fn is_anothers(fault: &Fault) -> bool {
    // Without the right to any schema there is none to make a table in.
    let codes = [SqlState::INSUFFICIENT_PRIVILEGE, SqlState::INVALID_SCHEMA_NAME];
    code(fault).is_some_and(|code| codes.contains(code))
}

/// Who is to bring the schema up to date, told to a role that may not.
pub(super) fn let_owner_migrate(session: &Session, address: &Address, found: Found, known: u32) -> Fault {
    let told = || -> Outcome<StoreError> {
        let own = own(session)?;
        let (cause, remedy) = match (found, owner(session)?) {
            (Found::Version(found), owner) => {
                let owner = owner.map_or_else(|| "its owner".to_owned(), |owner| format!("its owner `{}`", owner.name));
                let cause = format!(
                    "its schema has version {found}, this farmctl works with {known}, and the role `{own}` may not \
                     change it"
                );
                (cause, format!("let {owner} run `farmctl store check` of this version once"))
            }
            _ => {
                let cause = format!("the database has no tables of a lab, and the role `{own}` may not make any");
                (cause, "let the role that is to own them run `farmctl store check` once".to_owned())
            }
        };
        Ok(StoreError::NotAllowed { action: "begin to work".to_owned(), path: (&address.shown).into(), cause, remedy })
    };
    told().map_or_else(|fault| fault, Fault::Store)
}

/// Refuses what only the owner of the tables may do. PostgreSQL itself would leave each table out, and refuse nothing.
pub(super) fn keep_to_owner(session: &Session, address: &Address, action: &str) -> Outcome<()> {
    let Some(Owner { name, is_own: false }) = owner(session)? else { return Ok(()) };
    let cause = format!("the role `{}` does not own its tables", own(session)?);
    let remedy = format!("let their owner `{name}` do that; the server's autovacuum does the most of it by itself");
    Err(StoreError::NotAllowed { action: action.to_owned(), path: (&address.shown).into(), cause, remedy }.into())
}

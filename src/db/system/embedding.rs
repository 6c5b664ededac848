//! What is asked of embedding models, which belong to no tenant, and which tenants wait for one.

use uuid::Uuid;

use super::System;
use crate::db::{DbError, Parameter};
use crate::embedding::Model;
use crate::identity::TenantId;

const REGISTER_EMBEDDING_MODEL: &str = include_str!("../../../sql/queries/system/register_embedding_model.sql");
const ADOPT_EMBEDDING_MODEL: &str = include_str!("../../../sql/queries/system/adopt_embedding_model.sql");
const EMBEDDING_PRICE: &str = include_str!("../../../sql/queries/system/embedding_price.sql");
const TENANTS_TO_EMBED: &str = include_str!("../../../sql/queries/system/tenants_to_embed.sql");

impl System {
    /// The id of a model whose vectors callers give, by its name, registered if it is new.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn register_embedding_model(&self, name: &str) -> Result<i16, DbError> {
        let nothing = (None::<i32>, None::<String>, None::<Vec<String>>);
        let parameters: [Parameter<'_>; 6] = [&name, &nothing.0, &nothing.1, &nothing.2, &nothing.1, &nothing.0];
        Ok(self.query_one(REGISTER_EMBEDDING_MODEL, &parameters).await?.try_get("id")?)
    }

    /// The id of an embedder's model, registered if it is new; what is known of it is brought up to date.
    ///
    /// # Errors
    /// Any [`DbError`]; one of them if the name is known with other dimensions.
    pub async fn register_embedder(&self, model: &Model) -> Result<i16, DbError> {
        let dimensions = i32::try_from(model.dimensions).map_err(|error| DbError::Other(error.to_string()))?;
        let (languages, style) = (model.languages.codes(), model.prompts.style());
        let window = model.longest_tokens.and_then(|tokens| i32::try_from(tokens).ok());
        let parameters: [Parameter<'_>; 6] = [&model.name, &dimensions, &model.provider, &languages, &style, &window];
        Ok(self.query_one(REGISTER_EMBEDDING_MODEL, &parameters).await?.try_get("id")?)
    }

    /// The model that documents are embedded with, by id and name: this one, if there was none. `None` while the database moves
    /// to its first.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn adopt_embedding_model(&self, model_id: i16) -> Result<Option<(i16, String)>, DbError> {
        let row = self.query_one(ADOPT_EMBEDDING_MODEL, &[&model_id]).await?;
        let id: Option<i16> = row.try_get("id")?;
        Ok(id.zip(row.try_get::<_, Option<String>>("name")?))
    }

    /// Whether tokens of a model have a price.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn has_embedding_price(&self, provider: &str, model: &str) -> Result<bool, DbError> {
        Ok(self.query_one(EMBEDDING_PRICE, &[&provider, &model]).await?.try_get("is_priced")?)
    }

    /// Some of the active tenants whose documents wait to be embedded.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn tenants_to_embed(&self) -> Result<Vec<TenantId>, DbError> {
        let rows = self.query(TENANTS_TO_EMBED, &[]).await?;
        rows.iter().map(|row| Ok(TenantId::from(row.try_get::<_, Uuid>("tenant_id")?))).collect()
    }
}

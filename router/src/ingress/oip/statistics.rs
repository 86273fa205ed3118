//! Statistics of the grid's models: what each endpoint counts, summed over the endpoints of a version.

use futures::future::join_all;
use nanogrid_proto::inference::{
    InferBatchStatistics, InferResponseStatistics, InferStatistics, ModelStatistics, ModelStatisticsRequest,
    ModelStatisticsResponse, StatisticDuration,
};
use tracing::debug;

use super::about::PATIENCE;
use crate::{
    Router,
    dispatch::ask_endpoint,
    error::{CallError, Error},
    ingress::wire,
    request::VersionChoice,
};

impl Router {
    /// Of the model named, or of all. An endpoint that does not tell is left out of the sum.
    pub(super) async fn model_statistics(
        &self,
        request: ModelStatisticsRequest,
    ) -> Result<ModelStatisticsResponse, Error> {
        let version = wire::version("version", &request.version)?.map(VersionChoice::Number);
        let experts = {
            let grid = self.catalog.now();
            match request.name.as_str() {
                "" => grid.experts().cloned().collect(),
                name => vec![grid.expert(name)?.clone()],
            }
        };
        let mut versions = Vec::new();
        for expert in &experts {
            match version {
                None => versions.extend(expert.versions.iter().map(|version| (expert, version))),
                Some(choice) => versions.push((expert, &expert.versions[expert.version(choice)?])),
            }
        }
        let asked = versions.iter().map(async |(expert, version)| {
            let told = join_all(version.endpoints.iter().map(async |endpoint| {
                let request = ModelStatisticsRequest {
                    name: expert.name.to_string(),
                    version: version.number.to_string(),
                };
                ask_endpoint(endpoint, PATIENCE, async |mut client| client.model_statistics(request).await)
                    .await
                    .inspect_err(|error| debug!(%error, "no statistics"))
            }));
            let told = told.await.into_iter().filter_map(Result::ok).flat_map(|told| told.model_stats);
            told.reduce(sum).ok_or_else(|| Error::Call {
                expert: expert.name.clone(),
                source: Box::new(CallError::nobody(version)),
            })
        });
        let told = join_all(asked).await;
        if request.name.is_empty() {
            return Ok(ModelStatisticsResponse {
                model_stats: told.into_iter().filter_map(Result::ok).collect(),
            });
        }
        Ok(ModelStatisticsResponse { model_stats: told.into_iter().collect::<Result<_, _>>()? })
    }
}

fn sum(left: ModelStatistics, right: ModelStatistics) -> ModelStatistics {
    let mut batches = left.batch_stats;
    for batch in right.batch_stats {
        match batches.iter_mut().find(|known| known.batch_size == batch.batch_size) {
            Some(known) => *known = sum_batch(*known, batch),
            None => batches.push(batch),
        }
    }
    batches.sort_by_key(|batch| batch.batch_size);
    let mut responses = left.response_stats;
    for (key, right) in right.response_stats {
        let left = responses.remove(&key).unwrap_or_default();
        responses.insert(key, sum_response(left, right));
    }
    ModelStatistics {
        name: left.name,
        version: left.version,
        last_inference: left.last_inference.max(right.last_inference),
        inference_count: left.inference_count + right.inference_count,
        execution_count: left.execution_count + right.execution_count,
        inference_stats: sum_inference(left.inference_stats, right.inference_stats),
        batch_stats: batches,
        memory_usage: [left.memory_usage, right.memory_usage].concat(),
        response_stats: responses,
    }
}

type Counted = Option<StatisticDuration>;

fn sum_duration(left: Counted, right: Counted) -> Counted {
    match (left, right) {
        (Some(left), Some(right)) => {
            Some(StatisticDuration { count: left.count + right.count, ns: left.ns + right.ns })
        }
        (one, other) => one.or(other),
    }
}

fn sum_inference(left: Option<InferStatistics>, right: Option<InferStatistics>) -> Option<InferStatistics> {
    let (Some(left), Some(right)) = (left, right) else { return left.or(right) };
    Some(InferStatistics {
        success: sum_duration(left.success, right.success),
        fail: sum_duration(left.fail, right.fail),
        queue: sum_duration(left.queue, right.queue),
        compute_input: sum_duration(left.compute_input, right.compute_input),
        compute_infer: sum_duration(left.compute_infer, right.compute_infer),
        compute_output: sum_duration(left.compute_output, right.compute_output),
        cache_hit: sum_duration(left.cache_hit, right.cache_hit),
        cache_miss: sum_duration(left.cache_miss, right.cache_miss),
    })
}

fn sum_batch(left: InferBatchStatistics, right: InferBatchStatistics) -> InferBatchStatistics {
    InferBatchStatistics {
        batch_size: left.batch_size,
        compute_input: sum_duration(left.compute_input, right.compute_input),
        compute_infer: sum_duration(left.compute_infer, right.compute_infer),
        compute_output: sum_duration(left.compute_output, right.compute_output),
    }
}

fn sum_response(left: InferResponseStatistics, right: InferResponseStatistics) -> InferResponseStatistics {
    InferResponseStatistics {
        compute_infer: sum_duration(left.compute_infer, right.compute_infer),
        compute_output: sum_duration(left.compute_output, right.compute_output),
        success: sum_duration(left.success, right.success),
        fail: sum_duration(left.fail, right.fail),
        empty_response: sum_duration(left.empty_response, right.empty_response),
        cancel: sum_duration(left.cancel, right.cancel),
    }
}

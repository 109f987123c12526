use super::Call;
use crate::step::{BatchContext, Purpose, Step, StepError, StepResult, Waiting, pending};

/// Asks many steps by one call of [`on_continue_many`](Step::on_continue_many), and says what became of each: what it was
/// settled with, or `pending()`. The resources are those of the first.
///
/// ```
/// # use prorch_core::step::{
/// #     BatchContext, Progress, Step, StepContext, StepDefinition, StepError, StepResult, Waiting, finish,
/// # };
/// # #[derive(Default, serde::Serialize, serde::Deserialize)]
/// # struct Job;
/// # impl StepDefinition for Job { const NAME: &'static str = "Job"; }
/// # impl Step for Job {
/// #     type Input = u32;
/// #     type Output = u32;
/// #     async fn on_continue_many(waiting: &mut [Waiting<'_, Self>], _: &BatchContext) -> Result<(), StepError> {
/// #         for one in waiting.iter_mut().filter(|one| *one.input < 10) { one.settle(finish(*one.input)); }
/// #         Ok(())
/// #     }
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use prorch_core::testing::{ask_many, call};
///
/// let mut jobs = [call::<Job>(1), call::<Job>(20)];
/// let answers = ask_many(&mut jobs).await.unwrap();
/// assert_eq!(answers[0].as_ref().unwrap(), &Progress::Finished(1));
/// assert_eq!(answers[1].as_ref().unwrap(), &Progress::Pending { after: None });
/// # });
/// ```
///
/// # Errors
///
/// That of the whole call; nothing is kept then.
pub async fn ask_many<S: Step>(calls: &mut [Call<S>]) -> Result<Vec<StepResult<S::Output>>, StepError> {
    let resources = calls.first().map(|call| call.resources.clone()).unwrap_or_default();
    let mut asked = Vec::new();
    for call in calls.iter() {
        asked.push((call.copy()?, call.context(Purpose::Step), None));
    }
    let inputs = calls.iter().map(|call| &call.input);
    let waiting = asked.iter_mut().zip(inputs);
    let mut waiting: Vec<Waiting<'_, S>> =
        waiting.map(|((step, cx, answer), input)| Waiting::new(step, input, cx, answer)).collect();
    S::on_continue_many(&mut waiting, &BatchContext::new(S::NAME, resources)).await?;
    let answers = calls
        .iter_mut()
        .zip(asked)
        .map(|(call, (step, cx, answer))| call.settle(step, &cx, answer.unwrap_or_else(pending)));
    Ok(answers.collect())
}

# The verbs as functions: each asks whoever attends this kernel, and returns the answer, which shows itself.
#
# `ask(message, progress)` sends and waits, `data(said)` are the answer's data, `context()` what goes with each question.
verbs <- function(ask, data, context, progress) {
  words <- function(named, others) {
    said <- character()
    for (each in others) said <- c(said, word(each))
    for (name in names(named)) {
      value <- named[[name]]
      if (is.null(value) || identical(value, FALSE)) next
      option <- paste0("--", gsub("_", "-", name, fixed = TRUE))
      said <- c(said, if (isTRUE(value)) option else rbind(option, word(value)))
    }
    as.list(said)
  }
  word <- function(value) {
    if (inherits(value, "POSIXt")) return(format(value, "%Y-%m-%dT%H:%M:%S%z"))
    if (is.numeric(value)) return(format(value, scientific = FALSE, trim = TRUE))
    as.character(value)
  }
  asked <- function(verb, named = list(), others = list()) {
    said <- ask(c(list(verb = verb, words = words(named, others), language = "r"), context()), progress)
    if (!is.null(said$error)) stop(paste(c(said$error, said$hint), collapse = "\n"), call. = FALSE)
    structure(as.list(data(said)), class = "venvoy_answer", text = said$answer$text, html = said$answer$html)
  }

  registerS3method("print", "venvoy_answer", function(x, ...) {
    cat(attr(x, "text"), "\n", sep = "")
    invisible(x)
  }, envir = baseenv())
  registerS3method("repr_html", "venvoy_answer", function(obj, ...) attr(obj, "html"), envir = asNamespace("repr"))
  registerS3method("repr_text", "venvoy_answer", function(obj, ...) attr(obj, "text"), envir = asNamespace("repr"))

  list(
    env_freeze = function(include_dev = FALSE, vendor = FALSE, help = FALSE) {
      asked("freeze", list(include_dev = include_dev, vendor = vendor, help = help))
    },
    env_status = function(help = FALSE) asked("status", list(help = help)),
    env_history = function(last = NULL, help = FALSE) asked("history", list(last = last, help = help)),
    env_diff = function(..., help = FALSE) asked("diff", list(help = help), list(...)),
    env_export = function(format = NULL, output = NULL, help = FALSE) {
      asked("export", list(output = output, help = help), list(format))
    },
    env_restore = function(..., yes = FALSE, help = FALSE) asked("restore", list(yes = yes, help = help), list(...)),
    env_undo = function(dry_run = FALSE, help = FALSE) asked("undo", list(dry_run = dry_run, help = help)),
    env_archive = function(output = NULL, input = NULL, tier = NULL, help = FALSE) {
      asked("archive", list(output = output, input = input, tier = tier, help = help))
    },
    env_info = function(help = FALSE) asked("info", list(help = help))
  )
}

# Speak with whoever attends this kernel: lines into the pipe of the session's folder, answers out of a file of our own.
wire <- function(folder) {
  json <- asNamespace("jsonlite")
  pipe <- file.path(folder, "guest.fifo")
  asked <- 0L

  # Fails, instead of waiting, where nobody holds the other end.
  reached <- function() suppressWarnings(fifo(pipe, "w", blocking = FALSE))
  # What the pipe does not take at once it loses: a message of some length lies in a file, and is named there.
  say <- function(message, token) {
    line <- enc2utf8(as.character(json$toJSON(message, auto_unbox = TRUE, null = "null", digits = NA)))
    if (nchar(line, "bytes") > 2000L) {
      writeLines(line, file.path(folder, paste0("ask-", token)), useBytes = TRUE)
      line <- sprintf('{"to": "%s", "filed": true}', token)
    }
    to <- reached()
    on.exit(close(to))
    writeLines(line, to, useBytes = TRUE)
  }
  attended <- function() tryCatch(is.null(close(reached())), error = function(e) FALSE)

  # The whole lines of a file behind the first bytes of it.
  lines <- function(file, from) {
    bytes <- readBin(file, "raw", file.size(file))
    ends <- which(bytes == as.raw(10L))
    ends <- ends[ends > from]
    if (!length(ends)) return(list(text = character(), upto = from))
    text <- rawToChar(bytes[(from + 1L):max(ends)])
    Encoding(text) <- "UTF-8"
    list(text = strsplit(text, "\n", fixed = TRUE)[[1L]], upto = max(ends))
  }

  # Ask, hand every word of progress on, and return the last answer: it has `answer`, or `error` and `hint`.
  ask <- function(message, progress = function(text) NULL, patience = Inf) {
    asked <<- asked + 1L
    token <- sprintf("%d-%d", Sys.getpid(), asked)
    file <- file.path(folder, paste0("answer-", token))
    on.exit(unlink(c(file, file.path(folder, paste0("ask-", token)))))
    if (!file.create(file)) stop("cannot write in ", folder, call. = FALSE)
    say(c(message, list(to = token)), token)
    read <- 0L
    began <- heard <- proc.time()[["elapsed"]]
    repeat {
      found <- lines(file, read)
      read <- found$upto
      for (line in found$text) {
        said <- json$fromJSON(line, simplifyVector = FALSE)
        if (is.null(said$progress)) return(c(said, list(line = line)))
        progress(said$progress)
      }
      now <- proc.time()[["elapsed"]]
      if (length(found$text)) heard <- now
      if (now - began > patience) stop("no answer within ", patience, " s", call. = FALSE)
      if (now - heard > 2) {
        if (!attended()) stop("whoever attends this kernel went away", call. = FALSE)
        heard <- now
      }
      Sys.sleep(0.005)
    }
  }
  list(ask = ask, data = function(said) json$fromJSON(said$line)$answer$data)
}

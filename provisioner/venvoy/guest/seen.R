# Say which packages can be loaded, a name and a version to a line; of two by one name the first counts.
local({
  there <- installed.packages()
  cat(sprintf("%s\t%s\n", there[, "Package"], there[, "Version"]), sep = "")
})

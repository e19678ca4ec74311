// As tracer_confined, but the tracer is confined itself, so that it may not set the filters of its tracees aside; they let through what is needed.
#define JUDGED
#include "tracer_confined.c"

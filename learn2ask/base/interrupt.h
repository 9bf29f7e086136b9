// Ctrl-C and SIGTERM: the first one asks, the second one kills.
//
// Long loops call throw_if_interrupted() at a point where everything finished is on disk.
#pragma once

namespace l2a {

// Installs the handlers; called once, by main().
void install_interrupt_handlers();

bool is_interrupted();

// Throws Failure(kUnavailable, "interrupted: run the same command again to go on").
void throw_if_interrupted();

}  // namespace l2a

# learn2ask_module(NAME [TORCH] [LINKS target...])
#
# Library `NAME` from every *.cpp of the current folder, and a test program `NAME_test` from
# every *_test.cpp. A TORCH module also gets LibTorch, and those of its files that include a
# header <torch/...> one precompiled header of them (half a minute once, then some 8 s a file;
# without it 16 s and more).
function(learn2ask_module NAME)
  cmake_parse_arguments(ARG "TORCH" "" "LINKS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS *.cpp)
  file(GLOB tests CONFIGURE_DEPENDS *_test.cpp)
  list(REMOVE_ITEM sources ${tests} ${CMAKE_CURRENT_SOURCE_DIR}/main.cpp)

  add_library(l2a_${NAME} STATIC ${sources})
  target_include_directories(l2a_${NAME} PUBLIC ${PROJECT_SOURCE_DIR}/learn2ask)
  target_link_libraries(l2a_${NAME} PUBLIC ${ARG_LINKS})
  learn2ask_flags(l2a_${NAME})
  if(ARG_TORCH)
    learn2ask_torch(l2a_${NAME})
    learn2ask_skip_precompiled(${sources} ${tests})
  endif()

  if(tests)
    add_executable(${NAME}_test ${tests})
    target_link_libraries(${NAME}_test PRIVATE l2a_${NAME} GTest::gmock GTest::gtest_main)
    target_compile_definitions(${NAME}_test PRIVATE
      L2A_SOURCE_DIR="${PROJECT_SOURCE_DIR}" L2A_PYTHON="${PROJECT_SOURCE_DIR}/.deps/venv/bin/python")
    learn2ask_flags(${NAME}_test)
    learn2ask_compile_quickly(${NAME}_test)
    if(ARG_TORCH)
      target_precompile_headers(${NAME}_test REUSE_FROM l2a_torch_pch)
      learn2ask_torch_flags(${NAME}_test)
      target_compile_options(${NAME}_test PRIVATE -fPIC)  # as the precompiled header was
    endif()
    add_test(NAME ${NAME} COMMAND ${NAME}_test)
    set_tests_properties(${NAME} PROPERTIES LABELS ${NAME})
  endif()
endfunction()

# -Wrestrict is off: g++ 12 raises it falsely for `"text" + std::string` (GCC bug 105651).
# -Wpsabi too: vectors pass only between functions that are always inlined.
# L2A_WERROR counts only with the compiler that every change is checked with: a newer one's new
# warnings must not keep a newcomer from a build.
function(learn2ask_flags TARGET)
  target_compile_options(${TARGET} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wno-restrict -Wno-psabi
    $<$<AND:$<BOOL:${L2A_WERROR}>,$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Werror>)
  if(L2A_SANITIZE)
    # g++ 12 takes std::regex, once instrumented, for uninitialised (its bug 105562).
    # Without -fno-sanitize-recover g++'s UBSan prints what it finds and goes on, and the test passes.
    target_compile_options(${TARGET} PRIVATE -fsanitize=${L2A_SANITIZE} -fno-sanitize-recover=all
      -fno-omit-frame-pointer -Wno-maybe-uninitialized)
    target_link_options(${TARGET} PUBLIC -fsanitize=${L2A_SANITIZE})
  endif()
endfunction()

# For sources in which no time is spent when they run: -O1 compiles a third faster than -O3.
function(learn2ask_compile_quickly TARGET)
  target_compile_options(${TARGET} PRIVATE $<$<CONFIG:Release>:-O1>)
endfunction()

# LibTorch's headers are taken as system headers: their warnings are not ours. Compiled without
# OpenMP, its at::parallel_for runs all on one thread, silently.
function(learn2ask_torch_flags TARGET)
  target_include_directories(${TARGET} SYSTEM PRIVATE ${TORCH_INCLUDE_DIRS})
  separate_arguments(torch_flags UNIX_COMMAND "${TORCH_CXX_FLAGS}")
  target_compile_options(${TARGET} PRIVATE ${torch_flags} ${OpenMP_CXX_FLAGS})
endfunction()

# Reading the precompiled header takes seconds, also where nothing of it is used.
function(learn2ask_skip_precompiled)
  foreach(source ${ARGN})
    file(STRINGS ${source} uses REGEX "^#include (<torch/(types|autograd)\\.h>|\".*testing\\.h\")" LIMIT_COUNT 1)
    if(NOT uses)
      set_source_files_properties(${source} PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
    endif()
  endforeach()
endfunction()

function(learn2ask_torch TARGET)
  if(NOT TARGET l2a_torch_pch)
    file(WRITE ${CMAKE_BINARY_DIR}/torch_pch.cpp "")
    add_library(l2a_torch_pch STATIC ${CMAKE_BINARY_DIR}/torch_pch.cpp)
    target_link_libraries(l2a_torch_pch PRIVATE torch)  # its macros: they must match the users'
    target_precompile_headers(l2a_torch_pch PRIVATE <torch/types.h> <torch/autograd.h>)
    learn2ask_flags(l2a_torch_pch)
    learn2ask_torch_flags(l2a_torch_pch)
  endif()
  target_precompile_headers(${TARGET} REUSE_FROM l2a_torch_pch)
  learn2ask_torch_flags(${TARGET})
  target_include_directories(${TARGET} SYSTEM PUBLIC ${TORCH_INCLUDE_DIRS})
  target_link_libraries(${TARGET} PUBLIC torch)
  target_link_options(${TARGET} PUBLIC ${OpenMP_CXX_FLAGS})
endfunction()

# borrow_headers(<folder>): sets _borrowed to an include directory that holds this folder of /usr/include and nothing
# else: the rest there is of another system.
function(borrow_headers folder)
    set(root "${PROJECT_BINARY_DIR}/borrowed/${folder}")
    file(MAKE_DIRECTORY "${root}")
    if(NOT EXISTS "/usr/include/${folder}")
        message(FATAL_ERROR "there is no /usr/include/${folder} to borrow")
    endif()
    file(CREATE_LINK "/usr/include/${folder}" "${root}/${folder}" SYMBOLIC)
    set(_borrowed "${root}" PARENT_SCOPE)
endfunction()

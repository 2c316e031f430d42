! Compares @STEM@ with its golden numbers: @STEM@_example_f90 [parameter file] [golden numbers]
program example
  use, intrinsic :: iso_fortran_env, only: error_unit, real64
@USE@
  implicit none
@INTERFACE@
  real(real64) :: p(0:3, @PARTICLE_COUNT@), @CONTEXT_ARRAY_FORTRAN@ans(@OUTPUTS@), wanted(@OUTPUTS@), scale, difference, worst
  character(4096) :: parameters, golden
  integer :: status, events, e, k, unit
  parameters = "@STEM@.par"
  golden = "@STEM@_golden.txt"
  if (command_argument_count() > 0) call get_command_argument(1, parameters)
  if (command_argument_count() > 1) call get_command_argument(2, golden)
  call lz_setup(trim(parameters), status)
  if (status /= 0) then
    write (error_unit, "(a)") @MESSAGE@
    stop 1
  end if
  open (newunit=unit, file=golden, status="old", action="read")
  read (unit, *) events
  worst = 0
  do e = 1, events
    read (unit, *) p, @CONTEXT_ITEM@wanted, scale
    call lz_smatrix(p@CONTEXT_CALL@, ans@ANS_INDEX@)
    if (e == 1) print "(a, es23.15)", "first answer: ", ans(1)
    do k = 1, @OUTPUTS@
      difference = abs(ans(k) - wanted(k)) / scale
      if (.not. difference <= worst) worst = difference
    end do
  end do
  close (unit)
  print "(a, es7.1)", "largest difference: ", worst
  if (.not. worst <= @TOLERANCE_FORTRAN@) stop 1
end program example
